//! What a reload changed, by name and place, and what it kept.

use super::generation::Generation;
use crate::plan::{Origin, Plan};
use std::fmt::Debug;

/// What is new, gone or different in a plan.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<String>);

impl Changes {
    /// From one plan to another.
    pub fn between(old: &Plan, new: &Plan) -> Changes {
        let mut changes = Changes::default();
        changes.kind("listener", listeners(old), listeners(new));
        changes.kind(
            "upstream",
            listed(old, &old.upstreams, |u| (&u.name, &u.origin)),
            listed(new, &new.upstreams, |u| (&u.name, &u.origin)),
        );
        changes.kind(
            "auth",
            listed(old, &old.auths, |a| (&a.name, &a.origin)),
            listed(new, &new.auths, |a| (&a.name, &a.origin)),
        );
        changes.kind(
            "table",
            listed(old, &old.tables, |t| (&t.name, &t.origin)),
            listed(new, &new.tables, |t| (&t.name, &t.origin)),
        );
        changes.kind(
            "route",
            listed(old, &old.routes, |r| (&r.name, &r.origin)),
            listed(new, &new.routes, |r| (&r.name, &r.origin)),
        );
        changes.one("trust proxies", described(old, &old.trust), described(new, &new.trust));
        changes.one("what holds without a route", described(old, &old.unrouted), described(new, &new.unrouted));
        changes
    }

    fn one(&mut self, what: &str, before: String, after: String) {
        if before != after {
            self.0.push(format!("{what} changed"));
        }
    }

    /// Each change in words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn kind(&mut self, kind: &str, old: Vec<Item>, new: Vec<Item>) {
        // Nameless routes of different apis may share a name.
        let mut before: Vec<Option<Item>> = old.into_iter().map(Some).collect();
        for item in new {
            let same = |b: &&mut Option<Item>| b.as_ref().is_some_and(|b| b.name == item.name && b.text == item.text);
            let named = |b: &&mut Option<Item>| b.as_ref().is_some_and(|b| b.name == item.name);
            let exact = before.iter_mut().find(same).and_then(Option::take);
            if exact.is_some() {
                continue;
            }
            let what = match before.iter_mut().find(named).and_then(Option::take) {
                Some(before) if before.note != item.note => &format!("changed from {} to {}", before.note, item.note),
                Some(_) => "changed",
                None => "added",
            };
            self.0.push(format!("{kind} `{}` {what} ({})", item.name, item.place));
        }
        for item in before.into_iter().flatten() {
            self.0.push(format!("{kind} `{}` removed (was {})", item.name, item.place));
        }
    }
}

struct Item {
    name: String,
    place: String,
    text: String,
    /// What is worth saying about it when that changes.
    note: String,
}

fn listed<'p, T: Debug>(
    plan: &'p Plan,
    items: &'p [T],
    of: impl Fn(&'p T) -> (&'p smol_str::SmolStr, &'p Origin),
) -> Vec<Item> {
    let item = |item: &'p T| {
        let (name, origin) = of(item);
        let place = format!("{}:{}", plan.file(origin), origin.line);
        Item { name: name.to_string(), place, text: described(plan, item), note: String::new() }
    };
    items.iter().map(item).collect()
}

fn listeners(plan: &Plan) -> Vec<Item> {
    let mut items = listed(plan, &plan.listeners, |l| (&l.name, &l.origin));
    items.iter_mut().zip(&plan.listeners).for_each(|(item, listener)| item.note = listener.address.to_string());
    items
}

/// What an item says, whatever its place: its debug form without the lines that hold numbers of lines, files and other
/// items; other items are there by their names, limits as a whole.
fn described(plan: &Plan, item: &impl Debug) -> String {
    const PLACES: [&str; 4] = ["file: ", "line: ", "router: ", "identity: "];
    let all = format!("{item:#?}");
    let mut lines = all.lines();
    let mut out = String::with_capacity(all.len());
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        if PLACES.iter().any(|place| text.starts_with(place)) {
            continue;
        }
        out.push_str(line);
        let kind = ["UpstreamId(", "AuthId(", "TableId(", "LimitId("].into_iter().find(|kind| text.ends_with(kind));
        if let Some(kind) = kind {
            let number = lines.next().and_then(|line| line.trim().trim_end_matches(',').parse::<usize>().ok());
            out.push_str(&number.and_then(|number| named(plan, kind, number)).unwrap_or_default());
        }
        out.push('\n');
    }
    out
}

fn named(plan: &Plan, kind: &str, number: usize) -> Option<String> {
    match kind {
        "UpstreamId(" => plan.upstreams.get(number).map(|upstream| upstream.name.to_string()),
        "AuthId(" => plan.auths.get(number).map(|auth| auth.name.to_string()),
        "TableId(" => plan.tables.get(number).map(|table| table.name.to_string()),
        _ => plan.limits.get(number).map(|limit| described(plan, limit)),
    }
}

/// What goes on as it was, in words.
pub struct Kept {
    /// Listeners whose sockets and connections stay.
    pub listeners: String,
    /// Upstreams whose connections and states stay.
    pub upstreams: String,
    /// Limits whose counters stay.
    pub limits: usize,
}

impl Kept {
    /// From one generation to another.
    pub fn between(old: &Generation, new: &Generation) -> Kept {
        let listeners = new.plan.listeners.iter().filter(|l| old.plan.listeners.iter().any(|o| o.address == l.address));
        let limits = new.plan.limits.iter().filter(|l| old.plan.limits.iter().any(|o| o.identity == l.identity));
        Kept {
            listeners: list(listeners.map(|listener| listener.name.as_str())),
            upstreams: list(new.kept_of(old)),
            limits: limits.count(),
        }
    }
}

/// The first names, and how many more there are.
fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const MOST: usize = 20;
    let names: Vec<_> = names.collect();
    let some = names.get(..names.len().min(MOST)).unwrap_or_default().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}
