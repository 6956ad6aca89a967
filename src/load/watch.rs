//! Files that change while the gateway serves.
//!
//! Folders are watched, not files: editors and deployments replace files. An event only says where to look;
//! what changed is known by the files themselves.

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// After a change the rest of its kind is waited for: this long without another, and no longer than ten times that.
const QUIET: Duration = Duration::from_millis(100);

/// Watches files.
pub struct Watcher {
    notify: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<Vec<PathBuf>>,
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Option<Stamp>>,
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
        Ok(Watcher { notify, events, folders: BTreeSet::new(), files: BTreeMap::new() })
    }

    /// Watches these files, there or not, and no others.
    pub fn watch(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        self.files.retain(|file, _| files.contains(file));
        let mut folders = BTreeSet::new();
        for file in files {
            folders.insert(folder(&file));
            // A link's own folder changes when it is set anew, the other when the file does.
            folders.extend(file.canonicalize().ok().map(|real| folder(&real)));
            self.files.entry(file).or_insert_with_key(|file| stamp(file));
        }
        for gone in self.folders.difference(&folders) {
            // It may have been removed.
            let _ = self.notify.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = self.notify.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "cannot watch a folder: what changes in it needs SIGHUP");
            }
        }
        self.folders = folders;
    }

    /// Waits until files have changed and are quiet. Programs (`*.gw`) that are new beside watched files count:
    /// an import may mean them.
    pub async fn changed(&mut self) -> BTreeSet<PathBuf> {
        loop {
            let Some(first) = self.events.recv().await else { return std::future::pending().await };
            let mut touched: BTreeSet<PathBuf> = first.into_iter().collect();
            let latest = Instant::now() + QUIET * 10;
            while let Ok(Some(more)) = timeout_at(latest.min(Instant::now() + QUIET), self.events.recv()).await {
                touched.extend(more);
            }
            let mut changed: BTreeSet<PathBuf> = touched.into_iter().filter(|path| self.is_new_program(path)).collect();
            for (file, known) in &mut self.files {
                let now = stamp(file);
                if *known != now {
                    *known = now;
                    changed.insert(file.clone());
                }
            }
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    fn is_new_program(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "gw")
            && !self.files.keys().any(|file| file.file_name() == path.file_name())
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
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
            watcher.watch([a.clone(), b.clone()]);
            std::fs::write(dir.path().join("other.txt"), "nobody asked").unwrap();
            std::fs::write(dir.path().join("new"), "22").unwrap();
            std::fs::rename(dir.path().join("new"), &a).unwrap();
            assert_eq!(watcher.changed().await, [a.clone()].into());
            std::fs::write(&b, "k").unwrap();
            assert_eq!(watcher.changed().await, [b.clone()].into());
            std::fs::remove_file(&a).unwrap();
            assert_eq!(watcher.changed().await, [a].into());
            let new = dir.path().join("new.gw");
            std::fs::write(&new, "").unwrap();
            assert_eq!(watcher.changed().await, [new].into());
        });
    }
}
