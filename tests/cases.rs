//! Golden cases: `tests/cases/*.md`, each a program with what every stage makes of it.
//!
//! A case file is Markdown. A heading begins a section; in it, fenced blocks are the
//! program's files and, after them, expected outputs:
//!
//! - a `gw` block is a file, `gateway.gw` or what a line `file: NAME` before the block says;
//!   any block with such a line is a file, the first one is the root;
//! - every other block is the output of the stage that its info string names: see [`stage`].
//!
//! `UPDATE_CASES=1 cargo test --test cases` writes the outputs anew (a section without any
//! gets a `check` block); the diff is the review.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gw::check::Inputs;
use gw::diagnostic::Code;
use gw::diagnostic::render::{self, Look};
use gw::explain::{self, Ends, Explanation, Request};
use gw::load::materials::Materials;
use gw::load::{self, Checked, MemoryFiles};
use gw::syntax;
use http::{HeaderMap, HeaderName};

/// The program of a section.
#[derive(Default)]
struct Program {
    files: MemoryFiles,
    /// Path and text of the root file.
    root: Option<(PathBuf, String)>,
}

impl Program {
    fn add(&mut self, name: &str, text: &str) {
        self.files.add(name, text);
        if self.root.is_none() {
            self.root = Some((name.into(), text.to_owned()));
        }
    }

    fn checked(&self) -> Checked {
        self.checked_with(&Inputs::default())
    }

    fn checked_with(&self, inputs: &Inputs) -> Checked {
        let (path, text) = self.root.as_ref().expect("a program has a root file");
        load::check(&self.files, path, text.clone().into_bytes(), inputs)
    }
}

/// What a stage prints for a program; none for a stage that does not exist.
fn stage(name: &str, arguments: &str, program: &Program) -> Option<String> {
    match name {
        "check" => Some(shown(&program.checked())),
        // `inputs NAME=VALUE …`: the check with these values and no others.
        "inputs" => {
            let mut inputs = Inputs::default();
            inputs.complete = true;
            for (name, value) in words(arguments).iter().filter_map(|word| word.split_once('=')) {
                inputs.bind(name, value.to_owned(), "inputs.toml".to_owned());
            }
            Some(shown(&program.checked_with(&inputs)))
        }
        "explain" => Some(match explained(arguments, program) {
            Ok(explanation) => explain::human(&explanation, false),
            Err(error) => error + "\n",
        }),
        // As `explain`, only how it ends.
        "outcome" => Some(match explained(arguments, program) {
            Ok(Explanation { outcome: Ends { kind, route, upstream, status, error, .. }, .. }) => {
                let end = upstream.or(error.map(str::to_owned)).into_iter().chain(status.map(|s| s.to_string()));
                let route = route.map_or_else(|| "no route".to_owned(), |name| format!("route {name}"));
                format!("{route}: {kind} {}\n", end.collect::<Vec<_>>().join(" "))
            }
            Err(error) => error + "\n",
        }),
        "fmt" => {
            let text = &program.root.as_ref().expect("a program has a root file").1;
            Some(syntax::format::format(text).unwrap_or_else(|errors| format!("{} syntax errors\n", errors.len())))
        }
        _ => None,
    }
}

/// Diagnostics for people.
fn shown(checked: &Checked) -> String {
    render::human(&checked.diagnostics, &checked.sources, Look { width: 100, color: false })
}

/// `explain METHOD URL [-H 'name: value'] [-d BODY] [--as AUTH[:JSON]] [--ip ADDR] [--client-certificate SUBJECT] [--times N]`, as the command takes it.
fn explained(arguments: &str, program: &Program) -> Result<Explanation, String> {
    let Checked { plan, diagnostics, .. } = program.checked();
    let plan = plan.ok_or_else(|| format!("a program with {} mistakes cannot be explained", diagnostics.len()))?;
    let mut words = words(arguments).into_iter();
    let mut next = || words.next().ok_or("METHOD and URL are missing, or the value of an option");
    let mut request = Request {
        method: next()?.parse().map_err(|_| "no method")?,
        url: next()?,
        headers: HeaderMap::new(),
        body: Default::default(),
        caller: None,
        ip: "192.0.2.1".parse().expect("an address"),
        at: "2026-01-31T12:00:00Z".parse().expect("a time"),
        certificate: None,
        times: 1,
    };
    while let Ok(option) = next() {
        let value = next()?;
        match option.as_str() {
            "-H" => {
                let (name, value) = value.split_once(": ").ok_or("a header is written 'name: value'")?;
                let name: HeaderName = name.parse().map_err(|_| "no header name")?;
                request.headers.append(name, value.parse().map_err(|_| "no header value")?);
            }
            "-d" => request.body = value.into(),
            "--as" => {
                let (auth, claims) = value.split_once(':').unwrap_or((&value, "{}"));
                request.caller = Some((auth.into(), serde_json::from_str(claims).map_err(|e| e.to_string())?));
            }
            "--client-certificate" => request.certificate = Some(value),
            "--ip" => request.ip = value.parse().map_err(|_| "no address")?,
            "--times" => request.times = value.parse().map_err(|_| "no number")?,
            other => return Err(format!("no option `{other}`")),
        }
    }
    let (materials, _) = Materials::read(&plan, None);
    explain::explain(&plan, &materials, &request)
}

/// The words of a command line; what stands in single quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn every_case_gives_what_it_says() {
    let update = std::env::var_os("UPDATE_CASES").is_some_and(|value| value != "0");
    let mut wrong = String::new();
    for path in markdown("tests/cases") {
        let text = std::fs::read_to_string(&path).expect("a case can be read");
        let actual = run(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if actual == text {
            continue;
        }
        if update {
            std::fs::write(&path, actual).expect("a case can be written");
        } else {
            let line = text.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
            let from = |text: &str| text.lines().skip(line).take(12).map(|l| format!("    {l}\n")).collect::<String>();
            wrong += &format!("{}:{}\n  expected\n{}  got\n{}", path.display(), line + 1, from(&text), from(&actual));
        }
    }
    assert!(wrong.is_empty(), "cases differ (UPDATE_CASES=1 cargo test --test cases, then read the diff):\n{wrong}");
}

#[test]
fn a_case_file_is_rewritten_in_place() {
    let case = "# t\n\nwords\n\n```gw\n# nothing\n```\n\n```check\nold\n```\n\n## two\n\nfile: b.gw\n\n```gw\n```\n";
    let new = run(case).unwrap();
    assert_eq!(
        new,
        "# t\n\nwords\n\n```gw\n# nothing\n```\n\n```check\nno mistakes in 1 file\n```\n\n## two\n\nfile: b.gw\n\n```gw\n```\n\n\
         ```check\nno mistakes in 1 file\n```\n"
    );
    assert_eq!(run(&new).unwrap(), new);
    assert!(run("```gw\n```\n```bogus\n```\n").unwrap_err().contains("no stage `bogus`"));
    assert!(run("```check\n```\n").unwrap_err().contains("no file before"));
}

/// The case file with every output made anew.
fn run(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut program = Program::default();
    let mut name: Option<&str> = None;
    let mut told = true;
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let ticks = line.bytes().take_while(|b| *b == b'`').count();
        if ticks < 3 {
            if line.starts_with('#') {
                tell(&mut out, &program, &mut told);
                program = Program::default();
            }
            if let Some(file) = line.strip_prefix("file: ") {
                name = Some(file.trim());
            }
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let (fence, info) = line.split_at(ticks);
        let mut body = String::new();
        loop {
            match lines.next() {
                Some((_, line)) if line.trim_end() == fence => break,
                Some((_, line)) => body.extend([line, "\n"]),
                None => return Err(format!("line {}: the block is not closed", at + 1)),
            }
        }
        let (kind, arguments) = info.split_once(' ').unwrap_or((info, ""));
        match name.take().or((kind == "gw").then_some("gateway.gw")) {
            Some(file) => {
                program.add(file, &body);
                told = false;
            }
            None if program.root.is_none() => return Err(format!("line {}: no file before this output", at + 1)),
            None => {
                body = stage(kind, arguments, &program).ok_or_else(|| format!("line {}: no stage `{kind}`", at + 1))?;
                told = true;
            }
        }
        out.extend([line, "\n", &body]);
        if !body.is_empty() && !body.ends_with('\n') {
            out.push('\n');
        }
        out.extend([fence, "\n"]);
    }
    tell(&mut out, &program, &mut told);
    Ok(out)
}

/// Ends a section that tells nothing of its program with what `check` says.
fn tell(out: &mut String, program: &Program, told: &mut bool) {
    if !std::mem::replace(told, true) {
        let output = stage("check", "", program).expect("check is a stage");
        let kept = out.trim_end().len();
        let rest = if out[kept..].len() > 1 { "\n" } else { "" };
        out.truncate(kept);
        out.push_str(&format!("\n\n```check\n{output}```\n{rest}"));
    }
}

/// The Markdown files of a folder, in order.
fn markdown(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "md"));
    paths.sort();
    paths
}

/// A block of a page.
struct Block<'a> {
    info: &'a str,
    text: String,
    /// The name in a line `file: NAME` before it: a file that the page's examples import.
    name: Option<&'a str>,
}

/// A page's lines outside of fenced blocks, and the blocks.
fn split(page: &str) -> (Vec<&str>, Vec<Block<'_>>) {
    let (mut prose, mut blocks) = (Vec::new(), Vec::new());
    let (mut lines, mut name) = (page.lines(), None);
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|l| *l != "```").flat_map(|l| [l, "\n"]).collect();
            blocks.push(Block { info, text, name: name.take() });
        } else {
            name = line.strip_prefix("file: ").or(name);
            prose.push(line);
        }
    }
    (prose, blocks)
}

/// What no program shows by itself: bytes that are not text, and values that are given from outside.
const NO_EXAMPLE: &[Code] = &[Code::E0108, Code::E0231, Code::E0232, Code::E0233];

#[test]
fn every_page_shows_its_code() {
    let mut wrong = String::new();
    for &code in Code::ALL {
        let page = code.page();
        let head = format!("# {code}: {}\n", code.title());
        if !page.starts_with(&head) {
            wrong += &format!("\ndocs/src/errors/{code}.md must begin with `{}`\n", head.trim());
        }
        let (prose, blocks) = split(page);
        let parts: Vec<_> = prose.iter().filter(|line| line.starts_with("## ")).collect();
        let example = blocks.iter().any(|block| block.info == "gw,fails") || NO_EXAMPLE.contains(&code);
        if !NO_EXAMPLE.contains(&code) && parts != [&"## Example", &"## What to do"] || !example {
            wrong += &format!(
                "\ndocs/src/errors/{code}.md must have `## Example` with a failing program, then `## What to do`\n"
            );
        }
        for Block { info, text, .. } in blocks.iter().filter(|block| block.name.is_none()) {
            let wanted = match *info {
                "gw,fails" => vec![code],
                "gw" => vec![],
                _ => continue,
            };
            let mut program = Program::default();
            program.add("gateway.gw", text);
            blocks.iter().for_each(|block| {
                if let Some(name) = block.name {
                    program.add(name, &block.text)
                }
            });
            let found = program.checked();
            let codes: Vec<_> = found.diagnostics.iter().map(|d| d.code).collect();
            let shown = shown(&found);
            if codes != wanted {
                wrong += &format!("\ndocs/src/errors/{code}.md gives {codes:?} and not {wanted:?}:\n{text}\n{shown}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_code_has_a_case() {
    let cases: String = markdown("tests/cases").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let missing: BTreeSet<_> = Code::ALL.iter().filter(|code| !cases.contains(&format!("[{code}]: "))).collect();
    let missing: Vec<_> = missing.into_iter().filter(|code| !NO_EXAMPLE.contains(code)).collect();
    assert!(missing.is_empty(), "codes without a case in tests/cases: {missing:?}");
}
