//! Every example, and every program in the README and the book, is coloured whole by the TextMate grammar.
//!
//! Needs Node.js and `npm ci` in `editors/test`, which `./test.sh` runs; without them these tests say so and pass, but
//! not where `CI` is set.

use serde::Deserialize;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Deserialize)]
struct Token {
    name: String,
    line: usize,
    text: String,
    scopes: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The tokens of programs; none where they cannot be had and need not be.
fn tokens(programs: &[(String, String)]) -> Option<Vec<Token>> {
    let folder = root().join("editors/test");
    let missing = match Command::new("node").arg("--version").output() {
        Err(_) => Some("node is not installed"),
        Ok(_) if !folder.join("node_modules/vscode-textmate").exists() => {
            Some("`npm ci` has not been run in editors/test")
        }
        Ok(_) => None,
    };
    if let Some(why) = missing {
        assert!(std::env::var("CI").ok().as_deref() != Some("true"), "{why}");
        eprintln!("NOT TESTED: {why}");
        return None;
    }
    let input: Vec<_> = programs.iter().map(|(name, text)| json!({ "name": name, "text": text })).collect();
    let mut node = Command::new("node")
        .arg("tokenise.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = node.stdin.take().unwrap();
    let text = serde_json::to_vec(&input).unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&text).unwrap());
    let output = node.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "tokenise.mjs failed");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, extension, found),
            false if path.extension().is_some_and(|e| e == extension) => found.push(path),
            false => {}
        }
    }
}

/// The `gw` blocks of a page, those with mistakes left out.
fn blocks(name: &str, page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, String)> = None;
    for (line, text) in page.lines().enumerate() {
        match (&mut open, text.strip_prefix("```")) {
            (None, Some(info)) => {
                let wanted = info.split(',').next() == Some("gw") && !info.contains("fails");
                open = Some((line + 1, wanted, String::new()));
            }
            (Some(_), Some("")) => {
                if let Some((line, true, text)) = open.take() {
                    found.push((format!("{name}:{line}"), text));
                }
            }
            (Some((_, _, block)), _) => *block += &format!("{text}\n"),
            (None, None) => {}
        }
    }
    found
}

#[test]
fn nothing_in_a_program_is_without_a_scope() {
    let mut programs = Vec::new();
    let mut paths = vec![root().join("src/cli/starter.gw"), root().join("src/syntax/tests/sample.gw")];
    files(&root().join("examples"), "gw", &mut paths);
    files(&root().join("tests/data"), "gw", &mut paths);
    for path in paths {
        programs.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    }
    let mut pages = vec![root().join("README.md")];
    files(&root().join("docs/src"), "md", &mut pages);
    for path in pages.iter().filter(|path| path.exists()) {
        programs.extend(blocks(&path.display().to_string(), &std::fs::read_to_string(path).unwrap()));
    }
    assert!(programs.len() > 50, "only {} programs", programs.len());
    let Some(tokens) = tokens(&programs) else { return };
    let bare: Vec<_> =
        tokens.iter().filter(|t| t.scopes.is_empty()).map(|t| format!("{}:{}: {}", t.name, t.line, t.text)).collect();
    assert!(tokens.len() > 5_000 && bare.is_empty(), "{bare:#?}");
}

#[test]
fn words_have_the_scopes_of_what_they_are() {
    let text = "\
## Documentation.
upstream orders { server http://a.internal:80/{x} weight 2 }
route get-user GET /users/{id: int} when header.x-beta == \"a{path}\\n\" -> 90% orders, 10% users by caller.id {
  timeout total 5s # why
  limit 100/min by client.ip
  require len(path) < 10 and not (host == null) else 403
  log none
}
table t: [cidr] = [10.0.0.0/8]
auth a = jwt { claims { tier: \"free\" | \"pro\"; roles: [string] from realm_access.roles } }
listen http :8080
";
    let Some(tokens) = tokens(&[("sample".into(), text.into())]) else { return };
    for (line, word, scope) in [
        (1, "## Documentation.", "comment.line.documentation"),
        (2, "upstream", "keyword.control"),
        (2, "orders", "entity.name.type"),
        (2, "server", "keyword.control"),
        (2, "http://", "markup.underline.link"),
        (2, "x", "variable.parameter"),
        (2, "weight", "keyword.other"),
        (3, "route", "keyword.control"),
        (3, "get-user", "entity.name.function"),
        (3, "GET", "constant.language.method"),
        (3, "users/", "string.unquoted.path"),
        (3, "id", "variable.parameter"),
        (3, "int", "storage.type"),
        (3, "when", "keyword.other"),
        (3, "header.x-beta", "variable.language"),
        (3, "==", "keyword.operator"),
        (3, "path", "variable.language"),
        (3, "\\n", "constant.character.escape"),
        (3, "->", "keyword.operator.arrow"),
        (3, "90%", "constant.numeric"),
        (3, "by", "keyword.other"),
        (3, "caller.id", "variable.language"),
        (4, "timeout", "keyword.control"),
        (4, "total", "keyword.other"),
        (4, "5s", "constant.numeric"),
        (4, "# why", "comment.line.number-sign"),
        (5, "100/min", "constant.numeric.rate"),
        (6, "len", "support.function"),
        (6, "and", "keyword.operator.word"),
        (6, "not", "keyword.operator.word"),
        (6, "null", "constant.language"),
        (7, "none", "constant.language"),
        (9, "cidr", "storage.type"),
        (9, "10.0.0.0/8", "constant.numeric.address"),
        (10, "jwt", "keyword.other"),
        (10, "tier", "variable.other.property"),
        (10, "string", "storage.type"),
        (10, "from", "keyword.other"),
        (11, ":8080", "constant.numeric.address"),
    ] {
        let found: Vec<_> = tokens.iter().filter(|t| t.line == line && t.text == word).map(|t| &t.scopes).collect();
        assert!(!found.is_empty(), "line {line} has no token `{word}`");
        assert!(
            found.iter().any(|scopes| scopes.iter().any(|s| s.starts_with(scope))),
            "{line} `{word}`: {found:?}, not {scope}"
        );
    }
}

#[test]
fn vim_colours_words_and_indents() {
    if Command::new("vim").arg("--version").output().is_err() {
        eprintln!("NOT TESTED: vim is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (script, out) = (folder.path().join("test.vim"), folder.path().join("out"));
    let wanted = [
        ("listen", "gwStatement"),
        ("cidr", "gwType"),
        ("10.0.0.0/8", "gwNumber"),
        ("weight", "gwWord"),
        ("500ms", "gwNumber"),
        ("Bearer", "gwString"),
        ("## The shop.", "gwDocumentation"),
        ("GET /users", "gwMethod"),
        ("/users/{id", "gwPath"),
        ("-> users", "gwArrow"),
        ("10/s", "gwNumber"),
        ("header.x-beta", "gwFact"),
        ("route get-user", "gwStatement"),
        ("== \"1\"", "gwOperator"),
        ("len(", "gwFunction"),
    ];
    let words: Vec<_> = wanted.iter().map(|(word, _)| format!("'{word}'")).collect();
    let program = root().join("tests/data/shop.gw");
    let commands = format!(
        "set nocompatible\nset rtp^={}\nfiletype plugin indent on\nsyntax on\nedit {}\nlet out = []\n\
         for word in [{}]\n  call cursor(1, 1)\n  let at = searchpos('\\V' . escape(word, '\\'), 'cn')\n  \
         call add(out, synIDattr(synID(at[0], at[1], 1), 'name'))\nendfor\nnormal gg=G\n\
         call add(out, getline(1, '$') ==# readfile(expand('%')) ? 'same' : 'differs')\n\
         call writefile(out, '{}')\nqa!\n",
        root().join("editors/vim").display(),
        program.display(),
        words.join(", "),
        out.display(),
    );
    std::fs::write(&script, commands).unwrap();
    let mut vim = Command::new("vim");
    vim.args(["-es", "-u", "NONE", "-i", "NONE", "-n", "-S"]).arg(&script).stdin(Stdio::null());
    assert!(vim.output().unwrap().status.success());
    let found = std::fs::read_to_string(out).unwrap();
    let wanted: Vec<_> = wanted.iter().map(|(word, group)| format!("{word}: {group}")).collect();
    let (groups, indent) = found.trim_end().rsplit_once('\n').unwrap();
    let found: Vec<_> =
        words.iter().zip(groups.lines()).map(|(word, group)| format!("{}: {group}", word.trim_matches('\''))).collect();
    assert_eq!(found, wanted);
    assert_eq!(indent, "same");
}
