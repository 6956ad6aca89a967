//! What a reload changed, by name and place.

use crate::plan::{Origin, Plan};
use std::fmt::{self, Debug};

/// What is new, gone or different in a plan.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<String>);

impl Changes {
    /// From one plan to another.
    pub fn between(old: &Plan, new: &Plan) -> Changes {
        let mut changes = Changes::default();
        changes.kind(
            "listener",
            listed(old, &old.listeners, |l| (&l.name, &l.origin)),
            listed(new, &new.listeners, |l| (&l.name, &l.origin)),
        );
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
        changes
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
}

fn listed<'p, T: Debug>(
    plan: &Plan,
    items: &'p [T],
    of: impl Fn(&'p T) -> (&'p smol_str::SmolStr, &'p Origin),
) -> Vec<Item> {
    let item = |item: &'p T| {
        let (name, origin) = of(item);
        Item { name: name.to_string(), place: format!("{}:{}", plan.file(origin), origin.line), text: described(item) }
    };
    items.iter().map(item).collect()
}

/// What an item says, whatever its place: its debug form without the lines that hold numbers of lines, files and other items.
fn described(item: &impl Debug) -> String {
    struct Lines(String, String);
    impl fmt::Write for Lines {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for part in text.split_inclusive('\n') {
                self.1.push_str(part);
                if part.ends_with('\n') {
                    let line = self.1.trim_start();
                    let place =
                        ["file: ", "line: ", "router: ", "identity: "].iter().any(|name| line.starts_with(name));
                    if !place {
                        self.0.push_str(&self.1);
                    }
                    self.1.clear();
                }
            }
            Ok(())
        }
    }
    let mut lines = Lines(String::new(), String::new());
    // Writing to a string does not fail.
    let _ = fmt::write(&mut lines, format_args!("{item:#?}\n"));
    lines.0
}
