// Package kubernetes is the port Pods on client-go: bare pods, one for each
// instance, made from a template per kind (CONTRACT.md, Kubernetes), watched by
// a reflector and never polled.
//
// Ownership is by labels: app.kubernetes.io/managed-by=dacorch, dacorch.io/kind
// and dacorch.io/orchestrator. A pod without them is not told, and not touched
// but to adopt it (Config.IgnoreUnlabelled says which).
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"

	"golang.org/x/time/rate"

	"dacorch/orchestrator/fleet"
)

// Config is what a Client needs to know. Zero values mean the defaults.
type Config struct {
	// Rest says how to reach the API server. When it is nil, Kubeconfig is read;
	// when that is empty too, what a pod finds inside its cluster. It is copied;
	// its rate limit and its timeout are replaced.
	Rest *rest.Config
	// Kubeconfig is a file's path; its current context is used.
	Kubeconfig string

	// Namespace of the pods; default "iota". Nothing is read or written elsewhere.
	Namespace string
	// Orchestrator distinguishes two orchestrators that work in one namespace:
	// each touches only the pods that bear its name. Default "dacorch"; at most 63
	// characters of a label's value. Under another name the pods made before are
	// foreign.
	Orchestrator string
	// Kinds are those whose pods can be asked for; at least one.
	Kinds map[fleet.Kind]KindConfig

	// IgnoreUnlabelled leaves pods without ownership labels alone: under an
	// instance's name they are foreign. By default they are adopted: a pod that
	// has no ownership labels, no controller, the name <instanceName>-<id> and
	// instanceId=<id>, gets ours. The first orchestrator marked its pods in no
	// other way. Taking its place must not stop what it has started, and without
	// adoption every one of its pods would refuse the creation of ours, for ever.
	IgnoreUnlabelled bool

	// QPS and Burst bound the requests to the API server, those for events apart;
	// defaults 50 a second and 100 at once. At most 10000 each.
	QPS   float64
	Burst int
	// RequestTimeout bounds one attempt of a request, watches apart; default 10 s.
	// A request that may be mended by waiting is tried up to 5 times.
	RequestTimeout time.Duration
	// PageSize is how many pods, or events, are listed in one request; default 500.
	PageSize int

	// Log; nil discards.
	Log *slog.Logger
}

// KindConfig is how a kind's pods are made.
type KindConfig struct {
	// InstanceName is what the pods are called before "-<id>": a DNS label of at
	// most 55 characters, that no other kind uses.
	InstanceName string
	// Template is what LoadTemplate or ParseTemplate answered. It is not modified.
	Template *corev1.Pod
	// GracePeriod of deletions, in whole seconds; default 0: killed at once.
	GracePeriod time.Duration
	// Labels are set on each pod besides the template's.
	Labels map[string]string
}

// Stats counts since New.
type Stats struct {
	Requests       uint64        // sent, with those that were tried again and the watches
	Created        uint64        // pods
	Deleted        uint64        // deletions accepted
	Adopted        uint64        // pods that have got our labels
	Retried        uint64        // attempts after the first
	Throttled      uint64        // answers that asked us to slow down (429, or Retry-After)
	ThrottledTime  time.Duration // that requests waited, for our own limit or because an answer asked for it
	Lists          uint64        // complete listings, the watches' too
	Watches        uint64        // watches opened: the first and each after a cut
	WatchErrors    uint64        // watches and listings of watches that failed
	Odd            uint64        // pods with our labels whose name or instanceId is none of the kind's
	EventsSent     uint64
	EventsDropped  uint64 // the queue was full, or the server refused
	EventsRepeated uint64 // of EventsSent, those that only raised an earlier one's count
}

// Client speaks to one API server. Its methods are safe for concurrent use.
type Client struct {
	cfg     Config
	log     *slog.Logger
	kinds   map[fleet.Kind]*podKind
	rest    rest.Interface
	params  runtime.ParameterCodec
	limiter *limiter
	count   counters
	events  *recorder
	details details
	looks   *rate.Limiter // of people at events
	oddTold once

	mu   sync.Mutex
	ours map[string]*record // by UID, the pods that running watches have told
	last map[slot]string    // why an instance's last pod was deleted, until there is another
}

// record is what the client remembers of a pod of its own.
type record struct {
	deleting bool // we have requested its deletion
}

// slot is an instance of a kind.
type slot struct {
	kind fleet.Kind
	id   fleet.InstanceID
}

const (
	defaultNamespace = "iota"
	defaultName      = "dacorch"
	maxRate          = 10_000
	maxTimeout       = 10 * time.Minute
)

// New is a client. It checks the configuration, reads the kubeconfig, and speaks
// to nobody. An error is a *fleet.FieldError, or tells why the way to the API
// server is not known.
func New(cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	kinds, err := cfg.kinds()
	if err != nil {
		return nil, err
	}
	base, err := cfg.reach()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, log: cfg.Log, kinds: kinds,
		looks: rate.NewLimiter(lookQPS, lookBurst),
		ours:  map[string]*record{}, last: map[slot]string{}}
	c.limiter = newLimiter(cfg.QPS, cfg.Burst)
	if err := c.connect(base); err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	c.events = startRecorder(c)
	return c, nil
}

// complete fills in the defaults and answers the first field that is wrong.
func (cfg *Config) complete() error {
	if cfg.Namespace == "" {
		cfg.Namespace = defaultNamespace
	}
	if cfg.Orchestrator == "" {
		cfg.Orchestrator = defaultName
	}
	if cfg.QPS == 0 {
		cfg.QPS = 50
	}
	if cfg.Burst == 0 {
		cfg.Burst = 100
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = 10 * time.Second
	}
	if cfg.PageSize == 0 {
		cfg.PageSize = 500
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkLabelName("namespace", cfg.Namespace); err != nil {
		return err
	}
	if err := checkLabelValue("orchestrator", cfg.Orchestrator); err != nil {
		return err
	}
	bad := func(field string, value any, want string) error {
		return &fleet.FieldError{Field: field, Value: fmt.Sprint(value), Want: want}
	}
	switch {
	case cfg.QPS < 0 || cfg.QPS > maxRate || math.IsNaN(cfg.QPS):
		return bad("qps", cfg.QPS, fmt.Sprintf("more than 0, at most %d requests a second", maxRate))
	case cfg.Burst < 1 || cfg.Burst > maxRate:
		return bad("burst", cfg.Burst, fmt.Sprintf("1 to %d requests", maxRate))
	case cfg.RequestTimeout < 0 || cfg.RequestTimeout > maxTimeout:
		return bad("requestTimeout", cfg.RequestTimeout, fmt.Sprintf("more than 0, at most %v", maxTimeout))
	case cfg.PageSize < 1 || cfg.PageSize > 100_000:
		return bad("pageSize", cfg.PageSize, "1 to 100000 pods")
	}
	return nil
}

// reach answers how to reach the API server.
func (cfg *Config) reach() (*rest.Config, error) {
	switch {
	case cfg.Rest != nil:
		return rest.CopyConfig(cfg.Rest), nil
	case cfg.Kubeconfig != "":
		return readKubeconfig(cfg.Kubeconfig)
	}
	base, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, errors.New("kubernetes: no kubeconfig is given, and this is no pod of a cluster: want the path of a kubeconfig")
	}
	if err != nil {
		return nil, fmt.Errorf("kubernetes: in the cluster: %w", err)
	}
	return base, nil
}

func readKubeconfig(path string) (*rest.Config, error) {
	base, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return base, nil
}

// CheckKubeconfig says what is wrong with a kubeconfig, or with a file that it
// names. It speaks to nobody.
func CheckKubeconfig(path string) error {
	base, err := readKubeconfig(path)
	if err != nil {
		return err
	}
	if _, err := rest.TLSConfigFor(base); err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return nil
}

// connect prepares the HTTP client.
func (c *Client) connect(base *rest.Config) error {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return err
	}
	c.params = runtime.NewParameterCodec(scheme)
	base.GroupVersion = &corev1.SchemeGroupVersion
	base.APIPath = "/api"
	base.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	base.ContentType = runtime.ContentTypeJSON
	base.AcceptContentTypes = runtime.ContentTypeJSON
	base.UserAgent = "dacorch"
	base.RateLimiter = flowcontrol.NewFakeAlwaysRateLimiter() // ours counts, and heeds Retry-After
	base.Timeout = 0                                          // it would end watches too
	base.WarningHandler = &warnings{log: c.log}
	base.Wrap(c.watchAnswers)
	var err error
	c.rest, err = rest.RESTClientFor(base)
	return err
}

// Close ends the sending of events, what is queued first, for at most 2 s. The
// other methods must have returned, or their contexts have ended.
func (c *Client) Close() error {
	c.events.close()
	return nil
}

// kind answers what is configured for a kind.
func (c *Client) kind(kind fleet.Kind) (*podKind, error) {
	if k := c.kinds[kind]; k != nil {
		return k, nil
	}
	return nil, &fleet.FieldError{Field: "kind", Value: fmt.Sprintf("%q", kind), Want: "a kind that the configuration names"}
}

// pods begins the path of a request about pods.
func (c *Client) pods(r *rest.Request) *rest.Request {
	return r.MaxRetries(0).Namespace(c.cfg.Namespace).Resource("pods")
}

func (c *Client) get(ctx context.Context, name string) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := c.send(ctx, func(ctx context.Context) error {
		pod = &corev1.Pod{}
		return c.pods(c.rest.Get()).Name(name).Do(ctx).Into(pod)
	})
	return pod, err
}

// list reads all pods that a selector names, in pages, from the server and not
// from its cache.
func (c *Client) list(ctx context.Context, selector string) ([]corev1.Pod, error) {
	opts := metav1.ListOptions{LabelSelector: selector, Limit: int64(c.cfg.PageSize)}
	var all []corev1.Pod
	for {
		page, err := c.page(ctx, opts)
		if isExpired(err) && opts.Continue != "" {
			// The pages took so long that the server has forgotten their moment.
			all, opts.Continue, opts.Limit = nil, "", 0
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if opts.Continue = page.Continue; opts.Continue == "" {
			c.count.lists.Add(1)
			return all, nil
		}
	}
}

func (c *Client) page(ctx context.Context, opts metav1.ListOptions) (*corev1.PodList, error) {
	var page *corev1.PodList
	err := c.send(ctx, func(ctx context.Context) error {
		page = &corev1.PodList{}
		return c.pods(c.rest.Get()).VersionedParams(&opts, c.params).Do(ctx).Into(page)
	})
	return page, err
}
