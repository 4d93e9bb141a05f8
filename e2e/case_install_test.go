package e2e_test

import (
	"context"
	"errors"
	"testing"

	"dacorch/orchestrator/api"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestInstall: from nothing to every row on a running instance. Nobody is answered
// without a token, whoever may read may not order, and the orchestrator may do in
// Kubernetes what it needs and nothing else. Once it has been removed the instances
// work on, and the next installation goes on from there.
func TestInstall(t *testing.T) {
	t.Parallel()
	k, silentKind := newKind("Install", nil), newKind("InstallQuiet", map[string]any{"heartbeat": false})
	w := start(t, 20, k, silentKind)
	w.whereAnswers(k)
	w.nameless(k)
	w.permissions()
	health, err := w.api.Health(t.Context())
	if err != nil || !health.Live || !health.Ready {
		t.Errorf("health is %+v, %v: want live and ready", health, err)
	}
	kinds, err := w.api.Kinds(t.Context())
	if err != nil || len(kinds.Kinds) != 2 {
		t.Errorf("kinds %+v, %v: want two", kinds, err)
	}
	w.noSecrets()
	w.removal(k)
	w.verify()
}

// removal uninstalls the release and installs it again, while a row of the kind
// comes and one goes.
func (w *world) removal(k *kind) {
	w.t.Helper()
	runs, trees := map[*kind]map[int]run{}, map[*kind]tree{}
	for _, k := range w.kinds {
		runs[k], trees[k] = w.runs(k), w.tree(k)
	}
	same := func(what string) {
		w.t.Helper()
		for _, k := range w.kinds {
			w.sameRuns(k, runs[k], what)
			w.samePlaces(k, trees[k], what)
		}
	}
	w.helmUninstall()
	w.insert(k, "meanwhile")
	w.remove(k, "first-000")
	same("the release removed")
	w.install()
	w.verify()
	same("the release installed again")
}

// nameless calls without a token, with a wrong one, and with one that may only read.
func (w *world) nameless(k *kind) {
	w.t.Helper()
	orders := func(token string, want api.Code) {
		client, err := w.installed.API(token)
		if err != nil {
			w.t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Orchestrate(w.t.Context(), k.name, api.OrchestrateRequest{}); !errors.Is(err, &api.Error{Code: want}) {
			w.t.Errorf("an order is answered %v: want %s", err, want)
		}
		_, err = client.Kinds(w.t.Context())
		if want == api.CodeForbidden && err != nil || want != api.CodeForbidden && !errors.Is(err, &api.Error{Code: want}) {
			w.t.Errorf("a read is answered %v, where an order is answered %s", err, want)
		}
	}
	orders("", api.CodeUnauthorized)
	orders("wrong", api.CodeUnauthorized)
	orders(w.installed.Read, api.CodeForbidden)
}

// permissions asks the API server what the orchestrator's account may do.
func (w *world) permissions() {
	w.t.Helper()
	account := w.orchestrators()[0].Spec.ServiceAccountName
	namespace := w.release.Namespace
	for _, test := range []struct {
		verb, resource, namespace string
		may                       bool
	}{
		{"create", "pods", namespace, true},
		{"delete", "pods", namespace, true},
		{"watch", "pods", namespace, true},
		{"create", "events", namespace, true},
		{"get", "secrets", namespace, false},
		{"list", "configmaps", namespace, false},
		{"create", "deployments", namespace, false},
		{"create", "pods", "default", false},
		{"list", "pods", "kube-system", false},
		{"list", "nodes", "", false},
		{"delete", "namespaces", "", false},
	} {
		attributes := &authorizationv1.ResourceAttributes{Verb: test.verb, Resource: test.resource, Namespace: test.namespace}
		if test.resource == "deployments" {
			attributes.Group = "apps"
		}
		answer, err := w.kube.AuthorizationV1().SubjectAccessReviews().Create(w.t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: "system:serviceaccount:" + namespace + ":" + account,
				Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
				ResourceAttributes: attributes}}, metav1.CreateOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		if answer.Status.Allowed != test.may {
			w.t.Errorf("%s may %s %s in %q: %v, want %v", account, test.verb, test.resource, test.namespace, answer.Status.Allowed, test.may)
		}
	}
}

// TestMessages: each kind of message of cm/notify alone brings its rows to ZooKeeper.
// The comparison with the database, which would heal what they missed, comes far
// too late to help.
func TestMessages(t *testing.T) {
	t.Parallel()
	k := newKind("Messages", map[string]any{"timings": map[string]any{"resync": unresynced}})
	w := start(t, 0, k)
	o := w.observe(k)

	w.insert(k, "one")
	w.announce(k.created("one"))
	w.awaitPlaced(k, placedWithin, "one")

	many := names("many", 25)
	w.insert(k, many...)
	w.announce(k.created(many...))
	w.awaitPlaced(k, placedWithin, many...)

	w.insert(k, "bare")
	w.announce(message{Op: "changed", Table: k.name})
	w.awaitPlaced(k, placedWithin, "bare")

	// Created and announced by an update only: the row is looked up.
	w.insert(k, "late")
	w.announce(message{Op: "u", Table: k.name, Key: key("late"), Row: key("late")})
	w.awaitPlaced(k, placedWithin, "late")
	w.insert(k, "later") // once that is done: a comparison would find both
	w.announce(message{Op: "bu", Table: k.name, Where: map[string]any{"id": []string{"later"}}})
	w.awaitPlaced(k, placedWithin, "later")

	w.remove(k, "one")
	w.announce(k.removed("one"))
	w.awaitUnplaced(k, placedWithin, "one")

	w.remove(k, many[:10]...)
	w.announce(k.removed(many[:10]...))
	w.awaitUnplaced(k, placedWithin, many[:10]...)

	w.remove(k, many[10:]...)
	w.announce(message{Op: "bd", Table: k.name, Where: map[string]any{"site": "north"}}) // names no ids
	w.awaitUnplaced(k, placedWithin, many[10:]...)

	w.nonsense(k)
	o.end()
	w.verify()
}

// nonsense sends what is not for us or cannot be understood; the next message is
// worked on all the same, and nothing has changed.
func (w *world) nonsense(k *kind) {
	w.t.Helper()
	before := w.tree(k)
	for _, payload := range []string{"", "{", `"text"`, `{"o":"c"}`, `{"o":"c","t":"` + k.name + `","k":{"id":{"a":1}}}`,
		`{"o":"bd","t":"Elsewhere","where":{"id":"bare"}}`} {
		w.announceRaw(payload)
	}
	w.insert(k, "after")
	w.announce(k.created("after"))
	w.awaitPlaced(k, placedWithin, "after")
	w.samePlaces(k, before, "nonsense on the topic")
}

// TestGroups: under policy group an update that changes a row's group moves it to
// an instance of that group.
func TestGroups(t *testing.T) {
	t.Parallel()
	k := newKind("Groups", map[string]any{"policy": "group", "groupColumn": "site",
		"timings": map[string]any{"resync": unresynced}})
	w := newWorld(t, k)
	w.insert(k, names("n", 6)...) // site north
	if err := w.insertRows(t.Context(), k, "south", names("s", 6)...); err != nil {
		t.Fatal(err)
	}
	w.install()
	w.verify()
	o := w.observe(k)
	w.grouped(k)
	if err := w.commit(t.Context(), "UPDATE "+k.table()+" SET site = 'south' WHERE id = 'n-000'"); err != nil {
		t.Fatal(err)
	}
	w.announce(message{Op: "u", Table: k.name, Key: key("n-000"), Row: map[string]any{"id": "n-000", "site": "south"}})
	eventually(t, placedWithin, "n-000 among the south's", func(ctx context.Context) error {
		now, err := w.read(ctx, k)
		if err != nil {
			return err
		}
		places := now.placed()
		n, there := places["n-000"]
		if s, too := places["s-000"]; !there || !too || n != s {
			return errors.New("it is not")
		}
		return nil
	})
	w.grouped(k)
	o.end()
	w.verify()
}

// grouped fails the case when two groups share an instance.
func (w *world) grouped(k *kind) {
	w.t.Helper()
	places := w.tree(k).placed()
	for _, s := range names("s", 6) {
		if places[s] == places["n-001"] {
			w.t.Errorf("%s of the south and n-001 of the north share instance %d", s, places[s])
		}
	}
}
