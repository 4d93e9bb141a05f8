package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dacorch/orchestrator/api"
)

// unescape answers a segment of a path as text.
func unescape(segment string) (string, error) {
	if strings.IndexByte(segment, '%') >= 0 {
		var err error
		if segment, err = url.PathUnescape(segment); err != nil {
			return "", errNoSuchID
		}
	}
	if !utf8.ValidString(segment) {
		return "", errNoSuchID
	}
	return segment, nil
}

// readBody reads the body up to its bound. Whatever is not empty must say that
// it is JSON: a form of another site's page cannot.
func (s *Server) readBody(c *call) error {
	if c.req.Body == nil || c.req.Body == http.NoBody {
		return nil
	}
	if c.req.ContentLength > s.cfg.MaxBody { // not only once it has come, byte by byte
		c.Header().Set("Connection", "close")
		return api.Errorf(api.CodeTooLarge, "the body has more than %d bytes", s.cfg.MaxBody)
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.ResponseWriter, c.req.Body, s.cfg.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return api.Errorf(api.CodeTooLarge, "the body has more than %d bytes", s.cfg.MaxBody)
	case err != nil && c.req.Context().Err() != nil:
		return c.req.Context().Err()
	case err != nil:
		return api.Errorf(api.CodeBadRequest, "the body cannot be read: %v", err)
	}
	c.body = bytes.TrimSpace(body)
	if len(c.body) == 0 {
		return nil
	}
	if media, _, err := mime.ParseMediaType(c.req.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return api.Errorf(api.CodeMediaType, "the body's type is %.100q: want Content-Type: application/json", c.req.Header.Get("Content-Type"))
	}
	return nil
}

// decode reads the body into v, strictly. An empty one leaves v as it is.
func (c *call) decode(v any) error {
	if len(c.body) == 0 {
		if c.route.needBody {
			return api.Errorf(api.CodeBadRequest, "no body: want JSON")
		}
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return jsonError(err, v)
	}
	if _, err := d.Token(); err != io.EOF {
		return api.Errorf(api.CodeBadRequest, "something follows the JSON value at byte %d", d.InputOffset())
	}
	return nil
}

// jsonError says what is wrong with a body that was to be read into v.
func jsonError(err error, v any) error {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	field, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case unknown:
		if name, err := strconv.Unquote(field); err == nil {
			field = name
		}
		return &api.Error{Code: api.CodeUnknownField, Field: field, Message: "there is no such field: want " + fieldsOf(v)}
	case errors.As(err, &typ):
		want := map[string]string{"int": "a whole number", "float64": "a number", "bool": "true or false"}[typ.Type.String()]
		if want == "" {
			want = "an object"
		}
		e := api.Errorf(api.CodeBadRequest, "%s at byte %d is not valid: want %s", typ.Value, typ.Offset, want)
		e.Field = typ.Field
		return e
	case errors.As(err, &syntax):
		return api.Errorf(api.CodeBadRequest, "the body is no JSON: %v at byte %d", err, syntax.Offset)
	}
	return api.Errorf(api.CodeBadRequest, "the body is no JSON: %v", err)
}

// fieldsOf lists the names of the fields of the struct that v points to.
func fieldsOf(v any) string {
	var names []string
	for f := range reflect.TypeOf(v).Elem().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return strings.Join(names, " or ")
}

// values are a query's parameters, each once and known.
type values struct {
	url.Values
	err error // the first mistake
}

// query reads the parameters. A parameter that the route does not have is
// refused: a misspelt dryRun must not orchestrate.
func (c *call) query() *values {
	q, err := url.ParseQuery(c.req.URL.RawQuery)
	v := &values{Values: q}
	if err != nil && !c.route.lenient {
		v.err = api.Errorf(api.CodeBadRequest, "the query cannot be read: want name=value&…, percent-encoded")
	}
	for name, given := range q {
		known := slices.ContainsFunc(c.route.query, func(p param) bool { return p.name == name })
		switch {
		case !known && !c.route.lenient:
			v.wrong(name, "there is no such parameter")
		case known && len(given) > 1:
			v.wrong(name, "it is given more than once")
		case known && !utf8.ValidString(given[0]):
			v.wrong(name, "it is not UTF-8")
		}
	}
	return v
}

// isPreview says whether the handler will take the call for a preview: it reads
// the query in the same way.
func (c *call) isPreview() bool {
	q := c.query()
	return q.flag("dryRun", false) && q.err == nil
}

func (v *values) wrong(name, message string) {
	if v.err == nil {
		v.err = &api.Error{Code: api.CodeBadRequest, Field: name, Message: message}
	}
}

func (v *values) flag(name string, otherwise bool) bool {
	switch given := v.Get(name); given {
	case "":
		return otherwise
	case "true":
		return true
	case "false":
		return false
	default:
		v.wrong(name, "want true or false")
		return otherwise
	}
}

func (v *values) number(name string, least, most, otherwise int) int {
	given := v.Get(name)
	if given == "" {
		return otherwise
	}
	n, err := strconv.Atoi(given)
	if (err != nil || n < least || n > most) && v.err == nil {
		v.err = &api.Error{Code: api.CodeOutOfRange, Field: name,
			Message: "want a whole number, " + strconv.Itoa(least) + " to " + strconv.Itoa(most)}
	}
	return n
}

// instance reads the number of an instance in the path.
func (c *call) instance() (int, error) {
	n, err := strconv.ParseUint(c.args.v[1], 10, 31)
	if err != nil {
		return 0, &api.Error{Code: api.CodeBadRequest, Field: "instance", Message: "want the number of an instance: 0, 1, 2, …"}
	}
	return int(n), nil
}
