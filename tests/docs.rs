//! The README, the book and the examples say what is true.
//!
//! Info strings of fenced blocks in `README.md` and `docs/src`:
//!
//! - `gw`: a whole program; no errors, no warnings, laid out as `gw fmt` does;
//! - `gw,fails`: a whole program with at least one error;
//! - `gw,fragment`: statements of the top level; checked with what they name declared beside them;
//! - `gw,route`: statements of a route's block, checked in one;
//! - `gw,file=NAME` (or `toml,file=NAME`, …): a file that blocks of the page import or name; one that listens is checked
//!   as a program without errors, unless it is `gw,fails,file=NAME`;
//! - `console`: lines after `$ ` are run, in a folder with the page's files and `examples/`, and print what follows;
//!   `GW_JWT_SECRET` is set.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the outputs of `console` blocks anew; the diff is the review.
//! The pages of `docs/src/errors` are tested by `tests/cases.rs`, those of `docs/src/reference` by `tests/reference.rs`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use gw::diagnostic::render::{self, Look};
use gw::diagnostic::{Code, Severity};
use gw::load::{self, Checked, DiskFiles, MemoryFiles};
use gw::syntax::format::format;

/// What fragments may name without declaring it. A line goes where the fragment declares the same name itself.
const AROUND: &[(&str, &str)] = &[
    ("listen", "listen http :8080"),
    ("upstream users", "upstream users http://users.internal:7000"),
    ("upstream orders", "upstream orders http://orders.internal:7000"),
    ("upstream orders-canary", "upstream orders-canary http://canary.internal:7000"),
    (
        "auth customer =",
        "auth customer = jwt { issuer \"https://id.shop.example/\"; audience \"shop-api\"; algorithms RS256; key file \"key.pem\"; claims { tier: \"free\" | \"pro\", roles: [string], org: string? } }",
    ),
    ("auth partner =", "auth partner = api-key { from header.x-api-key; keys file \"partners.keys\" }"),
    ("route", "route GET /elsewhere -> orders"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fenced block of a page.
struct Block {
    info: String,
    text: String,
    /// The line of its opening fence, from 1.
    line: usize,
}

impl Block {
    fn is(&self, kind: &str) -> bool {
        self.info == kind
    }

    fn file(&self) -> Option<&str> {
        self.info.split(',').find_map(|part| part.strip_prefix("file="))
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let text = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
        let text = text.flat_map(|line| [line, "\n"]).collect();
        blocks.push(Block { info: info.to_owned(), text, line: at + 1 });
    }
    blocks
}

/// The README and the pages of the book that are written by hand.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    walk(&root().join("docs/src"), "md", &mut pages);
    pages.retain(|page| {
        !["errors", "reference"].iter().any(|part| page.starts_with(root().join("docs/src").join(part)))
    });
    pages
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn name(page: &Path) -> String {
    page.strip_prefix(root()).unwrap().display().to_string()
}

fn shown(checked: &Checked) -> String {
    render::human(&checked.diagnostics, &checked.sources, Look { width: 100, color: false })
}

/// Checks a program of a page, with the files that the page has.
fn check(blocks: &[Block], text: &str) -> Checked {
    let mut files = MemoryFiles::default();
    let key = std::fs::read_to_string(root().join("tests/data/keys/rsa.pub.pem")).unwrap();
    files.add("key.pem", key);
    files.add("partners.keys", std::fs::read_to_string(root().join("examples/partners.keys")).unwrap());
    for block in blocks {
        if let Some(file) = block.file() {
            files.add(file, block.text.as_str());
        }
    }
    load::check(&files, Path::new("gateway.gw"), text.as_bytes().to_vec(), &Default::default())
}

/// The fragment with what it names around it.
fn whole(fragment: &str) -> String {
    let declared = |what: &str| {
        fragment
            .lines()
            .any(|line| line.trim_start().strip_prefix(what).is_some_and(|rest| !rest.starts_with(['-', '_'])))
    };
    let around = AROUND.iter().filter(|(what, _)| !declared(what));
    around.map(|(_, line)| *line).chain([fragment]).collect::<Vec<_>>().join("\n")
}

#[test]
fn programs_of_pages_check_and_are_formatted() {
    let mut wrong = String::new();
    let mut seen = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let blocks = blocks(&text);
        for block in &blocks {
            let at = format!("{}:{}", name(&page), block.line);
            let (program, errors_only) = match block.info.as_str() {
                "gw" | "gw,fails" => (block.text.clone(), false),
                "gw,fragment" => (whole(&block.text), true),
                "gw,route" => (whole(&format!("route GET /here/{{id: int}} -> orders {{\n{}}}", block.text)), true),
                info if info.starts_with("gw") && block.file().is_none() => {
                    let _ = writeln!(wrong, "{at}: what is `{info}`?");
                    continue;
                }
                // A file is a program if it listens; what it shows may be a warning.
                info if info.starts_with("gw") && !info.contains("fails") => {
                    let program = if block.text.contains("listen ") { block.text.as_str() } else { "" };
                    (program.to_owned(), true)
                }
                _ => continue,
            };
            seen += 1;
            let checked = check(&blocks, &program);
            let failed = checked.diagnostics.iter().any(|d| d.severity == Severity::Error);
            let good = match block.is("gw,fails") {
                true => failed,
                false if errors_only => !failed,
                false => checked.diagnostics.is_empty(),
            };
            if !program.is_empty() && !good {
                let _ = writeln!(wrong, "{at} ({}):\n{}", block.info, shown(&checked));
            }
            if !block.is("gw,fails") {
                match format(&block.text) {
                    Ok(formatted) if formatted == block.text => {}
                    Ok(formatted) => {
                        let _ = writeln!(wrong, "{at} is laid out otherwise:\n{formatted}");
                    }
                    Err(_) => {
                        let _ = writeln!(wrong, "{at} has syntax errors");
                    }
                }
            }
        }
    }
    assert!(seen > 0, "no page has a program");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn examples_check_and_are_formatted() {
    let mut examples = Vec::new();
    walk(&root().join("examples"), "gw", &mut examples);
    let mut wrong = String::new();
    for path in &examples {
        let text = std::fs::read_to_string(path).unwrap();
        if !matches!(format(&text), Ok(formatted) if formatted == text) {
            let _ = writeln!(wrong, "gw fmt {}", name(path));
        }
    }
    let roots = load::roots(&root().join("examples")).unwrap();
    assert!(roots.len() < examples.len(), "files that others import are no gateways of their own");
    for path in roots {
        let checked = load::check(&DiskFiles, &path, std::fs::read(&path).unwrap(), &Default::default());
        if !checked.diagnostics.is_empty() {
            let _ = writeln!(wrong, "{}", shown(&checked));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every environment has what the program needs; the secret comes from elsewhere.
#[test]
fn environments_check() {
    for environment in ["staging", "production"] {
        let out = Command::new(env!("CARGO_BIN_EXE_gw"))
            .args(["check", "--deny", "warnings", "environments/gateway.gw", "--inputs"])
            .arg(format!("environments/{environment}.toml"))
            .env("GW_EXPORT_KEY", "secret")
            .current_dir(root().join("examples"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }
}

#[test]
fn consoles_print_what_pages_show() {
    let mut wrong = String::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut new = text.clone();
        let blocks = blocks(&text);
        if !blocks.iter().any(|block| block.is("console")) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root().join("examples"), folder.path().join("examples")).unwrap();
        for block in &blocks {
            if let Some(file) = block.file() {
                let path = folder.path().join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, &block.text).unwrap();
            } else if block.is("console") {
                let actual = run(&block.text, folder.path());
                if actual != block.text {
                    let _ = writeln!(wrong, "{}:{} prints\n{actual}", name(&page), block.line);
                    new =
                        new.replacen(&format!("```console\n{}```", block.text), &format!("```console\n{actual}```"), 1);
                }
            }
        }
        if update() && new != text {
            std::fs::write(&page, new).unwrap();
        }
    }
    assert!(update() || wrong.is_empty(), "UPDATE_DOCS=1 cargo test --test docs, then read the diff\n{wrong}");
}

/// The block with what its commands print now. A command goes on over lines that end in a backslash.
fn run(block: &str, folder: &Path) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_gw")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(bin.to_path_buf()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let mut out = String::new();
    let mut lines = block.lines();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("$ ") else { continue };
        let mut command = first.to_owned();
        while command.ends_with('\\') {
            command.push('\n');
            command.push_str(lines.next().unwrap());
        }
        let result = Command::new("sh")
            .args(["-c", &format!("{{ {command}\n}} 2>&1")])
            .env("PATH", &path)
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1")
            .env("GW_JWT_SECRET", "a-development-secret-of-32-bytes")
            .current_dir(folder)
            .output()
            .unwrap();
        let _ = write!(out, "$ {command}\n{}", String::from_utf8(result.stdout).unwrap());
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

/// Links from one page to another, and to files of the project, lead somewhere.
#[test]
fn links_lead_somewhere() {
    let mut pages = pages();
    walk(&root().join("docs/src/errors"), "md", &mut pages);
    walk(&root().join("docs/src/reference"), "md", &mut pages);
    pages.extend(["CHANGELOG.md", "SECURITY.md"].map(|page| root().join(page)));
    let mut wrong = String::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut fenced = false;
        for (at, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            for link in line.split("](").skip(1).filter(|_| !fenced) {
                let link = link.split([')', '#', ' ']).next().unwrap_or_default();
                let inside = !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:");
                if inside && !page.parent().unwrap().join(link).exists() {
                    let _ = writeln!(wrong, "{}:{}: {link}", name(&page), at + 1);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every page of the book stands in its summary, and every code on the page that lists them.
#[test]
fn lists_of_pages_are_complete() {
    let (mut index, mut chapters) = (INDEX.to_owned(), String::new());
    for code in Code::ALL {
        let _ = writeln!(index, "| [{code}]({code}.md) | {} |", code.title());
        let _ = writeln!(chapters, "  - [{code}: {}](errors/{code}.md)", code.title());
    }
    let path = root().join("docs/src/SUMMARY.md");
    let summary = std::fs::read_to_string(&path).unwrap();
    let (before, _) = summary.split_once("(errors/index.md)\n").expect("the summary lists the diagnostics last");
    same(&path, &format!("{before}(errors/index.md)\n{chapters}"));
    same(&root().join("docs/src/errors/index.md"), &index);

    let mut pages = Vec::new();
    walk(&root().join("docs/src"), "md", &mut pages);
    let pages = pages.iter().map(|page| page.strip_prefix(root().join("docs/src")).unwrap().display().to_string());
    let missing: Vec<_> =
        pages.filter(|page| page != "SUMMARY.md" && !summary.contains(&format!("]({page})"))).collect();
    assert!(missing.is_empty(), "not in docs/src/SUMMARY.md: {missing:?}");
}

const INDEX: &str = "\
# Diagnostics

What `gw check` finds, by code. `gw check --explain E0312` prints a page. A code is never used for something else, not
even after it is gone. Codes with `E` are errors, those with `W` warnings; the first two digits say what they are about:
01 the text, 02 statements, imports and inputs, 03 names, 04 types and expressions, 05 routes, 06 policies, 07 upstreams,
08 authentication, 09 invariants and what is not supported yet.

| code | |
| --- | --- |
";

/// The file has this text; with `UPDATE_DOCS=1` it gets it.
fn same(path: &Path, text: &str) {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    assert!(update(), "{} differs: UPDATE_DOCS=1 cargo test --test docs", name(path));
    std::fs::write(path, text).unwrap();
}

fn update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| value != "0")
}
