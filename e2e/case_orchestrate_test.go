package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestOrchestrate: more instances by one of the contract's URLs, fewer by the
// other, and what it refuses changes nothing.
func TestOrchestrate(t *testing.T) {
	t.Parallel()
	const rows = 60
	k := newKind("Orchestrate", nil)
	w := start(t, rows, k)
	o := w.observe(k)

	status, answer := w.post(k, "orchestrate", `{"resourcePerInstance": 11}`)
	if status != http.StatusOK || answer.Instances != rows/11+1 || answer.Opened != 3 {
		t.Errorf("up is answered %d, %+v: want %d instances, 3 of them new", status, answer, rows/11+1)
	}
	w.verify()
	if n := len(w.tree(k)); n != rows/11+1 {
		t.Errorf("%d instances, want %d", n, rows/11+1)
	}
	w.refusals(k)

	status, answer = w.post(k, "orchestrations", `{"resourcePerInstance": 20, "maxInstances": 9}`)
	if status != http.StatusOK || answer.Instances != rows/20+1 || answer.Released != 2 {
		t.Errorf("down is answered %d, %+v: want %d instances, 2 released", status, answer, rows/20+1)
	}
	w.verify()
	if n := len(w.tree(k)); n != rows/20+1 {
		t.Errorf("%d instances, want %d", n, rows/20+1)
	}

	ctx, done := context.WithTimeout(t.Context(), settledWithin)
	defer done()
	if answer, err := w.api.Drain(ctx, k.name, 0, true); err != nil || !answer.Finished {
		t.Errorf("a drain is answered %+v, %v: want a finished one", answer, err)
	}
	w.verify()
	if _, there := w.tree(k)[0]; there {
		t.Error("the instance that was drained is there still")
	}
	o.end()
}

// refusals are orders that say what would be right, and change nothing.
func (w *world) refusals(k *kind) {
	w.t.Helper()
	before := w.tree(k)
	one, two, all, many := 1, 2, 5000, 100
	for _, test := range []struct {
		request api.OrchestrateRequest
		code    api.Code
		says    []string
	}{
		{api.OrchestrateRequest{ResourcePerInstance: &one}, "", nil}, // 61 of 100: would be allowed, see below
		{api.OrchestrateRequest{ResourcePerInstance: &two, MaxInstances: new(3)}, api.CodeRefused, []string{"require instances more than the max: 31/3"}},
		{api.OrchestrateRequest{MaxInstances: &two}, api.CodeOutOfRange, []string{"maxInstances", "3 to 99"}},
		{api.OrchestrateRequest{MaxInstances: &many}, api.CodeOutOfRange, []string{"maxInstances", "3 to 99"}},
		{api.OrchestrateRequest{ResourcePerInstance: &all}, api.CodeOutOfRange, []string{"resourcePerInstance", "1 to 4999"}},
		{api.OrchestrateRequest{ResourcePerInstance: new(0)}, api.CodeOutOfRange, []string{"resourcePerInstance", "1 to 4999"}},
	} {
		if test.code == "" { // asked without doing it
			plan, err := w.api.Preview(w.t.Context(), k.name, test.request, 0)
			if err != nil || plan.Instances != 61 {
				w.t.Errorf("a preview answers %d instances, %v: want 61", plan.Instances, err)
			}
			continue
		}
		_, err := w.api.Orchestrate(w.t.Context(), k.name, test.request)
		if !errors.Is(err, &api.Error{Code: test.code}) {
			w.t.Errorf("%+v is answered %v: want %s", test.request, err, test.code)
			continue
		}
		for _, text := range test.says {
			if !strings.Contains(err.Error(), text) {
				w.t.Errorf("%q does not say %q", err, text)
			}
		}
	}
	w.samePlaces(k, before, "refused orders")
}

// post orders an orchestration as the web UI does.
func (w *world) post(k *kind, last, body string) (int, api.Orchestrated) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), settledWithin)
	defer done()
	url := fmt.Sprintf("%s/v1/api/orchestrations/%s/%s", w.installed.URL, k.name, last)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.installed.Token)
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{TLSClientConfig: w.rig.TLS()}}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		w.t.Fatalf("POST %s: %v", url, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatalf("POST %s: %v", url, err)
	}
	var answer api.Orchestrated
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&answer); err != nil {
		w.t.Fatalf("POST %s: %s: %v", url, data, err)
	}
	return response.StatusCode, answer
}

// TestQuota: where no more pods are allowed the interface says so, the instances
// that there are go on, and room heals it.
func TestQuota(t *testing.T) {
	t.Parallel()
	const rows = 40
	k := newKind("Quota", nil)
	w := start(t, rows, k)
	o := w.observe(k)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "pods"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("4")}}} // three and the orchestrator
	quotas := w.kube.CoreV1().ResourceQuotas(w.release.Namespace)
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, callWithin, "the quota counted", func(ctx context.Context) error {
		now, err := quotas.Get(ctx, quota.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if used := now.Status.Used[corev1.ResourcePods]; used.Value() != 4 {
			return fmt.Errorf("%v pods used: want 4", used.String())
		}
		return nil
	})

	ordered := make(chan error, 1)
	ctx, done := context.WithTimeout(t.Context(), settledWithin+healedWithin)
	defer done()
	go func() { // five instances: two more than there may be
		_, err := w.api.Orchestrate(ctx, k.name, api.OrchestrateRequest{ResourcePerInstance: new(9)})
		ordered <- err
	}()
	w.saysQuota(k)
	w.insert(k, "meanwhile")
	w.announce(k.created("meanwhile"))
	w.awaitPlaced(k, placedWithin, "meanwhile")
	w.stillConfirm(k)

	if err := quotas.Delete(t.Context(), quota.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-ordered; err != nil && !errors.Is(err, &api.Error{Code: api.CodeTimeout}) {
		t.Errorf("the order is answered %v", err)
	}
	w.verify()
	if n := len(w.tree(k)); n != rows/9+1 {
		t.Errorf("%d instances, want %d", n, rows/9+1)
	}
	o.end()
}

// saysQuota waits until the interface says why an instance has no pod.
func (w *world) saysQuota(k *kind) {
	w.t.Helper()
	eventually(w.t, placedWithin, "the quota named by REST", func(ctx context.Context) error {
		status, err := w.api.Status(ctx, k.name)
		if err != nil {
			return err
		}
		said := fmt.Sprint(status.Pending, status.Alarms)
		if !strings.Contains(said, "exceeded quota") {
			return fmt.Errorf("it says %s", said)
		}
		return nil
	})
}

// stillConfirm waits until every instance that has a pod confirms its newest list.
func (w *world) stillConfirm(k *kind) {
	w.t.Helper()
	eventually(w.t, replacedWithin, "the others at work", func(ctx context.Context) error {
		now, err := w.read(ctx, k)
		if err != nil {
			return err
		}
		pods, err := w.pods(ctx, k)
		if err != nil {
			return err
		}
		if len(pods) < 3 {
			return fmt.Errorf("%d pods: want the three of before", len(pods))
		}
		var errs []error
		for id, p := range pods {
			errs = append(errs, podWrong(p), now[id].confirmed(k, id))
		}
		return errors.Join(errs...)
	})
}

// took is how long something took, for the log.
func took(since time.Time) time.Duration { return time.Since(since).Round(100 * time.Millisecond) }
