package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/e2e/rig"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWrongPassword: a server refuses the orchestrator's password. It says which
// one, and does not take the rest down; the right password heals it. Nothing is
// placed while it cannot know what exists or where it stands.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		server rig.ServiceName
		works  bool   // rows are placed all the same
		says   string // in a warning of the log: the refusal, which no outage is told as
		alarm  string // of the REST interface; empty: the pod is not ready, so nobody asks it
	}{
		{rig.ZooKeeper, false, "zookeeper: we cannot stand for election", ""},
		{rig.PostgreSQL, false, "password authentication failed", "database-unreadable"},
		{rig.Kafka, true, "sasl authentication failed", "heartbeats-down"},
		{rig.Mosquitto, true, "the broker refuses user", "notifications-down"},
	} {
		t.Run(string(test.server), func(t *testing.T) {
			t.Parallel()
			k := newKind("Wrong"+strings.ToUpper(string(test.server[:1]))+string(test.server[1:]), nil)
			w := newWorld(t, k)
			w.insert(k, names("first", 10)...)
			wrong := w.release
			wrong.WrongPassword, wrong.NoWait = test.server, true
			if err := w.tryInstall(wrong); err != nil {
				t.Fatal(err)
			}
			w.awaitLog(settledWithin, test.says)
			if test.alarm != "" {
				w.awaitAlarm(k, test.alarm)
			}
			if test.works {
				w.awaitPlaced(k, settledWithin, names("first", 10)...)
			} else if n := len(w.tree(k).placed()); n != 0 {
				t.Errorf("%d resources are placed", n)
			}
			w.noSecrets()
			w.install()
			w.verify()
			w.noSecrets()
		})
	}
}

// logs is what the orchestrators have logged.
func (w *world) logs(ctx context.Context) (string, error) {
	var all strings.Builder
	var errs []error
	pods, err := w.kube.CoreV1().Pods(w.release.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range pods.Items {
		if w.isInstance(pods.Items[i].Name) {
			continue
		}
		stream, err := w.kube.CoreV1().Pods(w.release.Namespace).GetLogs(pods.Items[i].Name, &corev1.PodLogOptions{}).Stream(ctx)
		if err != nil { // it has not started
			errs = append(errs, err)
			continue
		}
		_, err = io.Copy(&all, io.LimitReader(stream, logBytes))
		errs = append(errs, err, stream.Close())
	}
	if all.Len() == 0 {
		return "", errors.Join(append(errs, errors.New("nothing is logged"))...)
	}
	return all.String(), nil
}

// awaitLog waits until the orchestrator's log has a warning or an error that says
// the text.
func (w *world) awaitLog(within time.Duration, text string) {
	w.t.Helper()
	eventually(w.t, within, fmt.Sprintf("the log says %q", text), func(ctx context.Context) error {
		logged, err := w.logs(ctx)
		if err == nil && !complains(logged, text) {
			err = fmt.Errorf("it complains about something else, or nothing:\n%s", last(logged, 2000))
		}
		return err
	})
}

// complains says whether a line of level WARN or ERROR has the text, in any case.
func complains(logged, text string) bool {
	for line := range strings.Lines(logged) {
		bad := strings.Contains(line, "WARN") || strings.Contains(line, "ERROR")
		if bad && strings.Contains(strings.ToLower(line), text) {
			return true
		}
	}
	return false
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

// noSecrets looks for what the release's Secret holds in what the orchestrators
// have logged.
func (w *world) noSecrets() {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), callWithin)
	defer done()
	secret, err := w.kube.CoreV1().Secrets(w.release.Namespace).Get(ctx, w.installed.Name+"-rig", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	logged, err := w.logs(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, leak := range leaks(secret.Data, logged) {
		w.t.Errorf("the log holds a line of the secret %s", leak)
	}
	if len(secret.Data[string(rig.Kafka)]) == 0 || len(secret.Data["token"]) == 0 {
		w.t.Errorf("the Secret %s lacks what would have to be looked for", secret.Name)
	}
}

// leaks are the keys of which a line stands in the log. A line is enough: a log's
// lines end elsewhere. Certificates are no secrets, nor is what begins or ends a
// key.
func leaks(secrets map[string][]byte, logged string) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		if strings.HasSuffix(key, ".crt") {
			continue
		}
		for line := range strings.Lines(string(secrets[key])) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "-----") && strings.Contains(logged, line) {
				keys = append(keys, key)
				break
			}
		}
	}
	return keys
}
