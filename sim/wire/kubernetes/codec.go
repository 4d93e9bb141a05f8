package kubernetes

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// maxBody bounds a request's body in bytes, as the API server does.
const maxBody = 3 << 20

// form is how an answer is written: the serializer, and whether the objects are
// turned into something else first ("Table", "PartialObjectMetadata").
type form struct {
	info runtime.SerializerInfo
	as   string
	gv   schema.GroupVersion // of what it is turned into
}

func mediaTypes() map[string]runtime.SerializerInfo {
	all := map[string]runtime.SerializerInfo{}
	for _, info := range scheme.Codecs.SupportedMediaTypes() {
		all[info.MediaType] = info
	}
	return all
}

var (
	offers   = mediaTypes()
	jsonForm = form{info: offers[runtime.ContentTypeJSON]}
	// deletions knows DeleteOptions under every group that clients write it in.
	deletions = sync.OnceValue(func() runtime.Decoder {
		known := runtime.NewScheme()
		for _, gv := range append(groupVersions(), policyv1.SchemeGroupVersion,
			schema.GroupVersion{Group: metav1.GroupName, Version: "v1"}) {
			metav1.AddToGroupVersion(known, gv)
		}
		return serializer.NewCodecFactory(known).UniversalDeserializer()
	})
)

// negotiate reads an Accept header. transform says whether objects may be turned
// into tables and the like. Its second answer is false when nothing asked for is
// on offer.
func negotiate(accept string, transform bool) (form, bool) {
	if accept == "" {
		return jsonForm, true
	}
	type choice struct {
		form
		quality float64
	}
	var choices []choice
	for part := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		f, ok := offered(media, params, transform)
		if !ok {
			continue
		}
		quality, err := strconv.ParseFloat(params["q"], 64)
		if err != nil {
			quality = 1
		}
		choices = append(choices, choice{f, quality})
	}
	if len(choices) == 0 {
		return jsonForm, false
	}
	slices.SortStableFunc(choices, func(a, b choice) int { return cmp.Compare(b.quality, a.quality) })
	return choices[0].form, true
}

func offered(media string, params map[string]string, transform bool) (form, bool) {
	if media == "*/*" || media == "application/*" {
		media = runtime.ContentTypeJSON
	}
	info, ok := offers[media]
	as := params["as"]
	switch {
	case !ok:
		return form{}, false
	case as == "":
		return form{info: info}, true
	}
	gv := schema.GroupVersion{Group: params["g"], Version: params["v"]}
	known := gv.Group == metav1.GroupName && (gv.Version == "v1" || gv.Version == "v1beta1")
	switch as {
	case "Table":
		known = known && media == runtime.ContentTypeJSON
	case "PartialObjectMetadata", "PartialObjectMetadataList":
		as = "PartialObjectMetadata"
	default:
		known = false
	}
	return form{info, as, gv}, known && transform
}

// write answers an object that carries its kind.
func (f form) write(w http.ResponseWriter, code int, o runtime.Object) {
	var body bytes.Buffer
	if err := f.info.Serializer.Encode(o, &body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", f.info.MediaType)
	w.WriteHeader(code)
	_, _ = w.Write(body.Bytes()) // the client is gone: there is nobody to tell
}

// writeError answers an error as the API does, as a Status object.
func (f form) writeError(w http.ResponseWriter, err error) {
	status := statusOf(err)
	if d := status.Details; d != nil && d.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(d.RetryAfterSeconds)))
	}
	f.write(w, int(status.Code), status)
}

func statusOf(err error) *metav1.Status {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	status.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Status"})
	return &status
}

// refusal makes an error of an HTTP status that has no constructor of its own.
func refusal(code int, reason metav1.StatusReason, format string, args ...any) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: fmt.Sprintf(format, args...)}}
}

// readBody reads a request's whole body within the bound.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", large.Limit))
	case err != nil:
		return nil, apierrors.NewBadRequest("the body cannot be read: " + err.Error())
	}
	return body, nil
}

// bodyType answers how a body is encoded.
func bodyType(r *http.Request) (string, error) {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return runtime.ContentTypeJSON, nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err != nil {
		return "", unsupported(header)
	}
	return media, nil
}

func unsupported(media string) error {
	return refusal(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
		"the body of the request was in an unknown format - accepted media types include: "+
			"application/json, application/yaml, application/vnd.kubernetes.protobuf; not %q", media)
}

// decode reads an object of the type that into has. strictness is what the
// client's fieldValidation says of unknown and repeated fields.
func decode(w http.ResponseWriter, media, strictness string, body []byte, kind schema.GroupVersionKind, into runtime.Object) error {
	info, ok := offers[media]
	if !ok {
		return unsupported(media)
	}
	from := runtime.Decoder(info.Serializer)
	if strictness != metav1.FieldValidationIgnore && info.StrictSerializer != nil {
		from = info.StrictSerializer
	}
	got, actual, err := from.Decode(body, &kind, into)
	switch strict, is := runtime.AsStrictDecodingError(err); {
	case is && strictness == metav1.FieldValidationStrict:
		return apierrors.NewBadRequest(err.Error())
	case is:
		for _, problem := range strict.Errors() {
			w.Header().Add("Warning", fmt.Sprintf("299 - %q", problem.Error()))
		}
	case err != nil:
		return apierrors.NewBadRequest("the object cannot be read: " + err.Error())
	}
	if got != into || *actual != kind {
		return apierrors.NewBadRequest(fmt.Sprintf("the object is a %s, and this place wants a %s", actual, kind))
	}
	return nil
}
