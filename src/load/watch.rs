//! Files that change while the gateway serves.
//!
//! Folders are watched, not files: editors and deployments replace files, folders, and links to either. An event only says
//! where to look; what changed is known by the files themselves.

use super::DiskFiles;
use super::disk::{folders_of, wild};
use crate::source::Files;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// After a change the rest of its kind is waited for: this long without another, and no longer than ten times that.
const QUIET: Duration = Duration::from_millis(100);

/// Links on the way to a file are followed so far.
const LINKS: u8 = 8;

/// Watches files.
pub struct Watcher {
    notify: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<Vec<PathBuf>>,
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Option<Stamp>>,
    /// Patterns and what they match.
    patterns: BTreeMap<PathBuf, Vec<PathBuf>>,
}

/// What tells a file's contents apart, short of reading it; none for a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Watcher {
    /// Watches nothing yet. The error is a sentence.
    pub fn new() -> Result<Watcher, String> {
        let (sender, events) = mpsc::unbounded_channel();
        let notify = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(event) = event
                && !matches!(event.kind, EventKind::Access(_))
            {
                // Nobody listens on the way to the end.
                let _ = sender.send(event.paths);
            }
        });
        let notify = notify.map_err(|error| format!("cannot watch files: {error}"))?;
        Ok(Watcher { notify, events, folders: BTreeSet::new(), files: BTreeMap::new(), patterns: BTreeMap::new() })
    }

    /// Watches these files, there or not, and which files match these patterns, and nothing else. Whether it did not watch all of
    /// them before.
    pub fn watch(
        &mut self,
        files: impl IntoIterator<Item = PathBuf>,
        patterns: impl IntoIterator<Item = PathBuf>,
    ) -> bool {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        let patterns: BTreeSet<PathBuf> = patterns.into_iter().collect();
        self.files.retain(|file, _| files.contains(file));
        self.patterns.retain(|pattern, _| patterns.contains(pattern));
        let (files, patterns): (Vec<_>, Vec<_>) = (
            files.into_iter().filter(|file| !self.files.contains_key(file)).collect(),
            patterns.into_iter().filter(|pattern| !self.patterns.contains_key(pattern)).collect(),
        );
        let more = !files.is_empty() || !patterns.is_empty();
        // What changes from now on is an event, so it is looked at afterwards.
        self.files.extend(files.iter().map(|file| (file.clone(), None)));
        self.patterns.extend(patterns.iter().map(|pattern| (pattern.clone(), Vec::new())));
        self.follow(&BTreeSet::new());
        self.files.extend(files.into_iter().map(|file| {
            let stamp = stamp(&file);
            (file, stamp)
        }));
        self.patterns.extend(patterns.into_iter().map(|pattern| {
            let matched = matched(&pattern);
            (pattern, matched)
        }));
        more
    }

    /// Watches the folders where something may happen to what is watched. Those of `touched` may be others than before.
    fn follow(&mut self, touched: &BTreeSet<PathBuf>) {
        let mut again: BTreeSet<PathBuf> = self.folders.intersection(touched).cloned().collect();
        // A folder may come while those above it are not watched yet.
        for _ in 0..8 {
            let mut folders = BTreeSet::new();
            self.files.keys().for_each(|file| around(file, LINKS, &mut folders));
            self.patterns.keys().for_each(|pattern| around(pattern, LINKS, &mut folders));
            for gone in self.folders.iter().filter(|folder| !folders.contains(*folder) || again.contains(*folder)) {
                // It may have been removed.
                let _ = self.notify.unwatch(gone);
            }
            let new: Vec<_> =
                folders.iter().filter(|new| !self.folders.contains(*new) || again.contains(*new)).collect();
            for new in &new {
                if let Err(error) = self.notify.watch(new, RecursiveMode::NonRecursive)
                    && new.exists()
                {
                    tracing::warn!(folder = %new.display(), %error, "cannot watch a folder: what changes in it needs SIGHUP");
                }
            }
            let settled = new.is_empty();
            again.clear();
            self.folders = folders;
            if settled {
                return;
            }
        }
    }

    /// Waits until files have changed and are quiet. A pattern that matches other files than before counts as one.
    pub async fn changed(&mut self) -> BTreeSet<PathBuf> {
        loop {
            let Some(first) = self.events.recv().await else { return std::future::pending().await };
            let mut touched: BTreeSet<PathBuf> = first.into_iter().collect();
            let latest = Instant::now() + QUIET * 10;
            while let Ok(Some(more)) = timeout_at(latest.min(Instant::now() + QUIET), self.events.recv()).await {
                touched.extend(more);
            }
            self.follow(&touched);
            let mut changed = BTreeSet::new();
            for (file, known) in &mut self.files {
                let now = stamp(file);
                if *known != now {
                    *known = now;
                    changed.insert(file.clone());
                }
            }
            for (pattern, known) in &mut self.patterns {
                let now = matched(pattern);
                if *known != now {
                    *known = now;
                    changed.insert(pattern.clone());
                }
            }
            if !changed.is_empty() {
                return changed;
            }
        }
    }
}

/// The folders in which something may happen to a file, or to the files of a pattern: its own, or the last that is there on
/// the way to it; those in which links on the way are set anew; those in which a wildcard may find more.
fn around(pattern: &Path, links: u8, folders: &mut BTreeSet<PathBuf>) {
    let Ok(pattern) = std::path::absolute(pattern) else { return };
    let mut reached = vec![PathBuf::new()];
    for part in pattern.components() {
        let mut next = Vec::new();
        for folder in reached {
            let here = folder.join(part);
            let wild = part.as_os_str().to_str().filter(|name| wild(name) && !here.exists());
            let link = here.read_link().ok();
            if (link.is_some() || wild.is_some() || !here.is_dir()) && folder.is_dir() {
                folders.insert(folder.clone());
            }
            if let Some(target) = link.filter(|_| links > 0) {
                around(&folder.join(target), links.saturating_sub(1), folders);
            }
            match wild {
                Some(name) => next.extend(folders_of(&folder, name)),
                None if here.is_dir() => next.push(here),
                None => {}
            }
        }
        reached = next;
    }
}

fn matched(pattern: &Path) -> Vec<PathBuf> {
    DiskFiles.glob(pattern).unwrap_or_default()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        #[cfg(unix)]
        inode: std::os::unix::fs::MetadataExt::ino(&metadata),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), test).await.expect("too slow") });
    }

    #[test]
    fn files_that_are_replaced_written_and_removed() {
        run(async {
            let dir = tempfile::tempdir().unwrap();
            let [a, b] = ["a.gw", "keys.txt"].map(|name| dir.path().join(name));
            std::fs::write(&a, "1").unwrap();
            let mut watcher = Watcher::new().unwrap();
            let programs = dir.path().join("*.gw");
            watcher.watch([a.clone(), b.clone()], [programs.clone()]);
            std::fs::write(dir.path().join("other.txt"), "nobody asked").unwrap();
            std::fs::write(dir.path().join("new"), "22").unwrap();
            std::fs::rename(dir.path().join("new"), &a).unwrap();
            assert_eq!(watcher.changed().await, [a.clone()].into());
            std::fs::write(&b, "k").unwrap();
            assert_eq!(watcher.changed().await, [b.clone()].into());
            std::fs::remove_file(&a).unwrap();
            assert_eq!(watcher.changed().await, [a, programs.clone()].into());
            std::fs::write(dir.path().join("new.gw"), "").unwrap();
            assert_eq!(watcher.changed().await, [programs].into());
        });
    }

    #[test]
    fn folders_that_come_go_and_are_links() {
        run(async {
            let dir = tempfile::tempdir().unwrap();
            let at = |path: &str| dir.path().join(path);
            for release in ["1", "2"] {
                std::fs::create_dir_all(at(release)).unwrap();
                std::fs::write(at(release).join("keys"), release).unwrap();
            }
            let link = |to: &str| {
                std::os::unix::fs::symlink(to, at("next")).unwrap();
                std::fs::rename(at("next"), at("current")).unwrap();
            };
            link("1");
            let (keys, deep, all) = (at("current/keys"), at("a/b/c.txt"), at("teams/**/*.gw"));
            let mut watcher = Watcher::new().unwrap();
            watcher.watch([keys.clone(), deep.clone()], [all.clone()]);
            link("2");
            assert_eq!(watcher.changed().await, [keys.clone()].into());
            std::fs::write(&keys, "anew").unwrap();
            assert_eq!(watcher.changed().await, [keys].into());
            for _ in 0..2 {
                std::fs::create_dir_all(at("a/b")).unwrap();
                std::fs::write(&deep, "").unwrap();
                assert_eq!(watcher.changed().await, [deep.clone()].into());
                std::fs::remove_dir_all(at("a")).unwrap();
                assert_eq!(watcher.changed().await, [deep.clone()].into());
                std::fs::create_dir_all(at("teams/blue/x")).unwrap();
                std::fs::write(at("teams/blue/x/routes.gw"), "").unwrap();
                assert_eq!(watcher.changed().await, [all.clone()].into());
                std::fs::remove_dir_all(at("teams")).unwrap();
                assert_eq!(watcher.changed().await, [all.clone()].into());
            }
        });
    }
}
