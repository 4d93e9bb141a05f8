package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxConditions bounds where.
const maxConditions = 10

func (d *decoder) fault(v *value) Fault {
	o, ok := d.object(v, "fault")
	if !ok {
		return Fault{}
	}
	at := o.moment("at", 0, d.heal, "heal")
	lasts := o.length("for", 0, 1, maxRun)
	if at+lasts > d.heal {
		d.fail(o.at("for"), fmt.Sprintf("it ends at %s, after heal", FormatDuration(at+lasts)), "want it to end by "+FormatDuration(d.heal))
	}
	subjects := faultSubjects()
	alternatives := make([][]string, len(subjects))
	for i, s := range subjects {
		alternatives[i] = []string{s}
	}
	i := o.choose(alternatives...)
	if i < 0 {
		return Fault{}
	}
	word := o.word(subjects[i], "", wordsOf(subjects[i])...)
	w := FaultKind(subjects[i] + "-" + word).vocabulary()
	if w == nil {
		return Fault{}
	}
	f := NewFault(w.What)
	f.At, f.For = at, lasts
	o.faultTimes(&f)
	o.faultKeys(w)
	o.faultAmounts(&f, w)
	if slices.Contains(w.Keys, "share") {
		o.target(&f, w)
	}
	return f
}

// faultTimes holds for and every to whether the fault lasts.
func (o object) faultTimes(f *Fault) {
	f.Every = o.length("every", 0, time.Second, maxRun)
	name := f.What.Subject() + ": " + f.What.Word()
	switch {
	case !f.Once() && !o.has("for"):
		o.missing("for")
	case !f.Once() && o.has("every"):
		o.d.fail(o.at("every"), "every has no meaning beside "+name+", which lasts", "want for alone, or a fault that happens once, such as pod: crash")
	case f.Once() && o.has("every") && !o.has("for"):
		o.d.fail(o.at("every"), "every without for", "want for: how long it goes on happening")
	case f.Once() && o.has("for") && !o.has("every"):
		o.d.fail(o.at("for"), "for has no meaning beside "+name+", which happens once", "want every: 1m beside it, or no for")
	case f.Every > f.For:
		o.d.fail(o.at("every"), fmt.Sprintf("every %s is longer than for %s", FormatDuration(f.Every), FormatDuration(f.For)), "want it at most as long")
	}
	if f.What.Subject() == "node" && o.d.machines == nil {
		o.d.fail(o.at("node"), "there are no nodes that could break", "want them at the top of the file, such as nodes: {count: 10, podsPerNode: 4}")
	}
}

// faultKeys refuses keys that belong to other words.
func (o object) faultKeys(w *FaultWord) {
	always := []string{"at", "for", "every", "chance", "stable", w.What.Subject()}
	for _, k := range o.section.Keys {
		if o.has(k.Name) && !slices.Contains(always, k.Name) && !slices.Contains(w.Keys, k.Name) {
			want := takers(k.Name)
			if len(want) > 6 {
				want = append(want[:6], "…")
			}
			o.d.fail(o.at(k.Name), fmt.Sprintf("%s has no meaning beside %s: %s", k.Name, w.What.Subject(), w.What.Word()), "want it beside "+strings.Join(want, ", "))
		}
	}
}

// faultAmounts reads how much, how often, how likely, and at what.
func (o object) faultAmounts(f *Fault, w *FaultWord) {
	if slices.Contains(w.Keys, "command") && o.has("command") {
		f.Command = o.word("command", "", Commands...)
		f.By = crashBy
	} else if slices.Contains(w.Keys, "command") && o.has("by") {
		o.d.fail(o.at("by"), "by has no meaning without command", "want command: commit beside it; without, the orchestrator is back after for")
	}
	if slices.Contains(w.Keys, "command") && !o.has("command") && (o.has("chance") || o.has("stable")) {
		key := "chance"
		if !o.has(key) {
			key = "stable"
		}
		o.d.fail(o.at(key), key+" has no meaning without command", "want command: commit beside it, to strike at some such commands; without, the crash is certain")
		return
	}
	if slices.Contains(w.Keys, "by") {
		f.By = o.length("by", f.By, 1, maxLatency)
	}
	if slices.Contains(w.Keys, "rate") && o.has("rate") {
		f.Rate = o.rate("rate")
		if at := o.at("rate"); at.shape == scalar && (f.Rate == 0 || f.Rate > maxNotifications) {
			o.wrong("rate", at)
		}
	}
	if slices.Contains(w.Keys, "of") {
		f.Of = o.word("of", f.Of, OfOrchestrator, OfDACs, OfAll)
	}
	if o.has("chance") {
		f.Chance = o.share("chance")
	}
	f.Stable = o.length("stable", f.Stable, 0, maxLatency)
	switch {
	case w.Stable > 0 && f.Stable == 0:
		o.d.fail(o.at("stable"), "stable: turns of no length", "want above 0s, such as "+FormatDuration(w.Stable))
	case w.Stable == 0 && f.Stable > 0 && f.Chance == 1:
		o.d.fail(o.at("stable"), "stable without chance", "want chance: 20% beside it; what is certain is always the same")
	}
}

// target reads whom the fault hits.
func (o object) target(f *Fault, w *FaultWord) {
	subject := w.What.Subject()
	if f.Of != "" && f.Of != OfDACs {
		for _, key := range podKeys {
			if o.has(key) {
				o.d.fail(o.at(key), key+" has no meaning beside of: "+f.Of, "want of: dacs, whose instances can be told")
			}
		}
		return
	}
	k := o.targetKind(f, w)
	var given []string
	for _, key := range []string{"instance", "name", "count", "share"} {
		if o.has(key) {
			given = append(given, key)
		}
	}
	if len(given) > 1 {
		o.d.fail(o.at(given[1]), given[0]+" and "+given[1]+" exclude each other", "want one of them")
		return
	}
	if len(given) == 0 && len(w.Needs) > 0 && !(slices.Contains(w.Needs, "where") && o.has("where")) {
		o.d.fail(o.v, fmt.Sprintf("%s fault that hits no %s", subject, targetName(subject)), "want one of "+strings.Join(w.Needs, ", "))
	}
	if slices.Contains(w.Keys, "instance") && o.has("instance") {
		f.One, f.Instance = true, o.instance("instance", k)
		if !o.has("kind") && subject != "pod" {
			o.d.fail(o.at("instance"), "instance without kind", "want kind: Thing beside it")
		}
	}
	if slices.Contains(w.Keys, "name") {
		f.Node = o.nodeName("name")
	}
	f.Count = o.number("count", 0, 1, 100_000)
	f.Share = o.share("share")
	if slices.Contains(w.Keys, "where") {
		f.Where = o.conditions()
	}
}

// nodeName is the name of a machine that there is; which there are is known
// beforehand where they are counted.
func (o object) nodeName(key string) string {
	name := o.text(key, "")
	if n := o.d.machines; name != "" && n != nil && !n.Could(name) {
		o.d.fail(o.at(key), fmt.Sprintf("no node %q", shorten(name)), "want one of "+n.words())
	}
	return name
}

func targetName(subject string) string {
	switch subject {
	case "pod", "node":
		return subject
	}
	return "instance"
}

// targetKind is the kind that is hit; nil when none is named.
func (o object) targetKind(f *Fault, w *FaultWord) *Kind {
	if !slices.Contains(w.Keys, "kind") {
		return nil
	}
	subject := w.What.Subject()
	if subject == "pod" && !o.has("kind") {
		o.missing("kind")
	}
	k := o.kind()
	if k == nil {
		return nil
	}
	f.Kind = k.Kind
	if (subject == "heartbeats" || subject == "kafka") && !k.Heartbeat {
		o.d.fail(o.at("kind"), k.Kind+" sends no heartbeats", "want a kind with heartbeat: true")
	}
	return k
}

func (o object) conditions() []Condition {
	var all []Condition
	for _, v := range o.list("where", 1, maxConditions) {
		if v.shape != scalar {
			o.d.fail(v, "where: "+o.d.shown(v)+" is not a condition", `want text, such as "load > 90%"`)
			continue
		}
		c, err := ParseCondition(v.text)
		if err != nil {
			problem, want, _ := strings.Cut(err.Error(), ": ")
			o.d.fail(v, "where: "+problem, want)
		}
		all = append(all, c)
	}
	return all
}
