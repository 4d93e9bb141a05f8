package rig

// DACTemplate is the template (YAML) of the simulated DAC's pods that Install makes
// for a kind without one, for whoever wants a few things in it otherwise.
func (r *Rig) DACTemplate(k ReleaseKind) (string, error) {
	return dacTemplate(k, kindEntry(k), r.State())
}
