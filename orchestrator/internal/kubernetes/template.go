package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/json"
	strict "sigs.k8s.io/yaml"

	"dacorch/orchestrator/fleet"
)

const maxTemplate = 1 << 20 // bytes; a pod of the API may not be larger than 1.5 MiB

// LoadTemplate reads a pod template from a file. See ParseTemplate.
func LoadTemplate(path string) (*corev1.Pod, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err != nil {
		return nil, err
	}
	pod, err := ParseTemplate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pod, nil
}

// ParseTemplate reads a pod template: one YAML or JSON document of at most 1 MiB
// that is a Pod of v1, with at least one container, whose first has at least one
// environment variable. The orchestrator sets the pod's name, the label
// instanceId and that variable's value; what stands there is a placeholder. An
// error names the field, or the line where it is no YAML.
func ParseTemplate(data []byte) (*corev1.Pod, error) {
	if len(data) > maxTemplate {
		return nil, fmt.Errorf("pod template: more than %d bytes", maxTemplate)
	}
	root, err := document(data)
	if err != nil {
		return nil, fmt.Errorf("pod template: %w", err)
	}
	asJSON, err := strict.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("pod template: %w", err)
	}
	pod := &corev1.Pod{}
	mistakes, err := json.UnmarshalStrict(asJSON, pod)
	if err = errors.Join(append(mistakes, err)...); err != nil {
		return nil, fmt.Errorf("pod template: %s", locate(root, err))
	}
	if err := checkTemplate(pod); err != nil {
		var field *fleet.FieldError
		if errors.As(err, &field) {
			if line := lineOf(root, field.Field); line > 0 {
				return nil, fmt.Errorf("pod template: line %d: %w", line, err)
			}
		}
		return nil, fmt.Errorf("pod template: %w", err)
	}
	return pod, nil
}

// document reads the one document of a file, for its lines.
func document(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root *yaml.Node
	n := 0
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(node.Content) > 0 && node.Content[0].Tag != "!!null" {
			root = node.Content[0]
			n++
		}
	}
	if n != 1 {
		return nil, fmt.Errorf("%d documents: want one, a Pod", n)
	}
	return root, nil
}

// problem is how the strict decoder names a field.
var problem = regexp.MustCompile(`(?:unknown|duplicate) field "([^"]+)"`)

// locate adds lines to what the decoder says, where it names fields.
func locate(root *yaml.Node, err error) string {
	return problem.ReplaceAllStringFunc(err.Error(), func(found string) string {
		field := problem.FindStringSubmatch(found)[1]
		if line := lineOf(root, field); line > 0 {
			return fmt.Sprintf("line %d: %s", line, found)
		}
		return found
	})
}

// lineOf is the line of a field such as spec.containers[0].env; of the nearest
// field above it, if it is not there; 0 when none is.
func lineOf(node *yaml.Node, field string) int {
	line := 0
	for node != nil && field != "" {
		child, at, rest := step(node, field)
		if child == nil {
			break
		}
		node, line, field = child, at, strings.TrimPrefix(rest, ".")
	}
	return line
}

// step finds a field's first part in a node: what stands there, its line, and
// the parts that follow.
func step(node *yaml.Node, field string) (child *yaml.Node, line int, rest string) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.SequenceNode:
		digits, after, _ := strings.Cut(strings.TrimPrefix(field, "["), "]")
		if i, err := strconv.Atoi(digits); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i].Line, after
		}
	case yaml.MappingNode:
		longest := ""
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			after, is := strings.CutPrefix(field, key.Value)
			if is && (after == "" || after[0] == '.' || after[0] == '[') && len(key.Value) > len(longest) {
				child, line, rest, longest = node.Content[i+1], key.Line, after, key.Value
			}
		}
	}
	return child, line, rest
}

// checkTemplate answers a *fleet.FieldError for the first field with which no
// instance's pod could be made.
func checkTemplate(pod *corev1.Pod) error {
	bad := func(field, value, want string) error {
		return &fleet.FieldError{Field: field, Value: fmt.Sprintf("%q", value), Want: want}
	}
	switch {
	case pod.APIVersion != "v1":
		return bad("apiVersion", pod.APIVersion, "v1")
	case pod.Kind != "Pod":
		return bad("kind", pod.Kind, "Pod")
	case pod.GenerateName != "":
		return bad("metadata.generateName", pod.GenerateName, "none: the name is the instance's")
	case pod.UID != "" || pod.ResourceVersion != "" || pod.DeletionTimestamp != nil || len(pod.ManagedFields) > 0:
		return bad("metadata", "…", "no uid, resourceVersion, deletionTimestamp or managedFields: a template is no pod that was read")
	case len(pod.OwnerReferences) > 0:
		return bad("metadata.ownerReferences", pod.OwnerReferences[0].Name, "none: the orchestrator is the owner")
	case pod.Spec.NodeName != "":
		return bad("spec.nodeName", pod.Spec.NodeName, "none: a scheduler finds the node")
	}
	for _, key := range []string{labelManagedBy, labelKind, labelOrchestrator} {
		if value, ok := pod.Labels[key]; ok {
			return bad("metadata.labels", key+"="+value, "no such label: the orchestrator sets it")
		}
	}
	if _, ok := pod.Annotations[annotationCreation]; ok {
		return bad("metadata.annotations", annotationCreation, "no such annotation: the orchestrator sets it")
	}
	return checkContainers(pod)
}

func checkContainers(pod *corev1.Pod) error {
	bad := func(field, value, want string) error {
		return &fleet.FieldError{Field: field, Value: value, Want: want}
	}
	if len(pod.Spec.Containers) == 0 {
		return bad("spec.containers", "nothing", "at least one container")
	}
	names := map[string]bool{}
	for i, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for j := range list {
			field := fmt.Sprintf("spec.%s[%d]", [...]string{"initContainers", "containers"}[i], j)
			c := &list[j]
			switch problems := validation.IsDNS1123Label(c.Name); {
			case len(problems) > 0:
				return bad(field+".name", fmt.Sprintf("%q", c.Name), problems[0])
			case names[c.Name]:
				return bad(field+".name", fmt.Sprintf("%q", c.Name), "a name that no other container has")
			case c.Image == "":
				return bad(field+".image", `""`, "an image")
			}
			names[c.Name] = true
		}
	}
	env := pod.Spec.Containers[0].Env
	const first = "spec.containers[0].env"
	switch {
	case len(env) == 0:
		return bad(first, "nothing", "at least one variable: the first becomes the instance's number")
	case env[0].Name == "":
		return bad(first+"[0].name", `""`, "a name")
	case env[0].ValueFrom != nil:
		return bad(first+"[0].valueFrom", "a source", "none: the value becomes the instance's number")
	}
	for i := 1; i < len(env); i++ {
		if env[i].Name == env[0].Name {
			return bad(fmt.Sprintf("%s[%d].name", first, i), fmt.Sprintf("%q", env[i].Name),
				"another name than the first variable's, which is the instance's number: the last one counts")
		}
	}
	return nil
}
