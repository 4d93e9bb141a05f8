// The programs of the air-gapped images, a module of their own: their versions
// are in ../versions, and ../build writes them into its copy of this file.
module dacorch/e2e/airgap/programs

go 1.26.0
