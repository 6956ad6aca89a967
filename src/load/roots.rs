//! The programs of a folder: its files that no other of them imports.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::disk::entries;
use super::{DiskFiles, imports};
use crate::source::Files;

/// The root files below `folder`, sorted; hidden entries and symbolic links to folders are passed over.
///
/// Where files import one another in a circle, the first of them counts as a root, so that
/// no file goes unchecked.
pub fn roots(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    programs_below(folder, &mut paths)?;
    let ids: HashMap<PathBuf, usize> =
        paths.iter().enumerate().map(|(i, path)| (DiskFiles.identity(path), i)).collect();
    let mut imported_by = Vec::new();
    for path in &paths {
        // What cannot be read is a root, so that whoever reads it says why, and reads the others.
        let bytes = std::fs::read(path).unwrap_or_default();
        let mut targets = Vec::new();
        for pattern in imports::of(&String::from_utf8_lossy(&bytes)) {
            let pattern = path.parent().unwrap_or(Path::new("")).join(pattern);
            // What cannot be found is a mistake that checking reports.
            let found = DiskFiles.glob(&pattern).unwrap_or_default();
            targets.extend(found.iter().filter_map(|file| ids.get(&DiskFiles.identity(file)).copied()));
        }
        imported_by.push(targets);
    }
    Ok(unreached(&imported_by).into_iter().map(|i| std::mem::take(&mut paths[i])).collect())
}

/// The nodes that none leads to, and of what is then still unreached the first of each circle, in order.
fn unreached(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut led_to = vec![false; edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        targets.iter().filter(|to| **to != from).for_each(|to| led_to[*to] = true);
    }
    let mut roots: Vec<usize> = (0..edges.len()).filter(|node| !led_to[*node]).collect();
    let mut reached = vec![false; edges.len()];
    let mut visit = |root: usize| {
        let mut open = vec![root];
        let mut new = false;
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut reached[node], true) {
                open.extend(&edges[node]);
                new = true;
            }
        }
        new
    };
    roots.iter().for_each(|root| {
        visit(*root);
    });
    for node in 0..edges.len() {
        if visit(node) {
            roots.push(node);
        }
    }
    roots.sort_unstable();
    roots
}

fn programs_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    for path in entries(folder)? {
        if path.is_dir() {
            if !path.is_symlink() {
                programs_below(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "gw") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_what_nothing_leads_to() {
        assert_eq!(unreached(&[vec![1], vec![], vec![1]]), [0, 2]);
        assert_eq!(unreached(&[vec![1], vec![0], vec![]]), [0, 2], "a circle is entered once");
        assert_eq!(unreached(&[vec![0]]), [0], "a file that imports itself");
        assert_eq!(unreached(&[vec![1], vec![2], vec![1], vec![]]), [0, 3], "a circle behind a root");
    }

    #[test]
    fn imports_are_followed_through_globs_and_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("main.gw", "import \"teams/*.gw\"\n"),
            ("teams/a.gw", "api a {\n  import \"../parts/routes.gw\"\n}\n"),
            ("teams/b.gw", "# no import \"../other.gw\"\n"),
            ("parts/routes.gw", ""),
            ("other.gw", "import \"missing.gw\"\n"),
            (".git/x.gw", ""),
            ("notes.txt", ""),
        ];
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(roots(dir.path()).unwrap(), [dir.path().join("main.gw"), dir.path().join("other.gw")]);
    }
}
