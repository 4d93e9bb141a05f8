// Command crictl answers the two questions that kind asks of crictl in a node:
// "inspecti IMAGE" and "images". cri-tools itself is not in the module proxies.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const socket = "unix:///run/containerd/containerd.sock"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crictl:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	conn, err := grpc.NewClient(socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	images := cri.NewImageServiceClient(conn)
	switch {
	case len(args) == 2 && args[0] == "inspecti":
		return inspect(ctx, images, args[1], out)
	case len(args) == 1 && args[0] == "images":
		return list(ctx, images, out)
	}
	return fmt.Errorf("want \"inspecti IMAGE\" or \"images\", not %q: this is not the whole crictl", strings.Join(args, " "))
}

func inspect(ctx context.Context, images cri.ImageServiceClient, name string, out io.Writer) error {
	answer, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}})
	if err != nil {
		return err
	}
	if answer.Image == nil {
		return fmt.Errorf("no such image %q present", name)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"status": map[string]any{
		"id":          answer.Image.Id,
		"repoTags":    answer.Image.RepoTags,
		"repoDigests": answer.Image.RepoDigests,
	}})
}

func list(ctx context.Context, images cri.ImageServiceClient, out io.Writer) error {
	answer, err := images.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "IMAGE ID\tSIZE\tTAGS")
	for _, image := range answer.Images {
		fmt.Fprintf(out, "%s\t%d\t%s\n", image.Id, image.Size, strings.Join(image.RepoTags, ","))
	}
	return nil
}
