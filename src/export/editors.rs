//! What editors know of the language: a TextMate grammar and a Vim syntax file, with the words of the tables.
//!
//! `tests/reference.rs` keeps the files in `editors/` as they are made here; `tests/editors.rs` tokenises every example.

use crate::model::facts::{FACTS, ROUTE_FACTS};
use crate::model::functions::FUNCTIONS;
use crate::model::statements::{Context, rows};
use crate::model::words::{OPERATORS, TYPES};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Every file: its path in `editors/` and its text.
pub fn files() -> Vec<(&'static str, String)> {
    vec![("vscode/syntaxes/gw.tmLanguage.json", format!("{:#}\n", textmate())), ("vim/syntax/gw.vim", vim())]
}

/// Words that stand for values.
const CONSTANTS: [&str; 7] = ["true", "false", "null", "none", "any", "all", "optional"];
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "ANY"];

/// The words of the language by what they are; each group sorted.
struct Words {
    /// What begins a statement.
    statements: BTreeSet<&'static str>,
    /// What stands inside of one.
    arguments: BTreeSet<&'static str>,
    operators: BTreeSet<&'static str>,
    types: BTreeSet<&'static str>,
    functions: BTreeSet<&'static str>,
    /// Facts without a dot.
    facts: BTreeSet<&'static str>,
    /// What stands before the dot of the others.
    namespaces: BTreeSet<&'static str>,
}

impl Words {
    fn new() -> Words {
        let statements: BTreeSet<_> = rows().map(|row| row.word).collect();
        let operators: BTreeSet<_> = OPERATORS
            .iter()
            .flat_map(|row| row.names)
            .flat_map(|name| name.split(' '))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && !CONSTANTS.contains(word))
            .collect();
        let facts = || FACTS.iter().chain(ROUTE_FACTS).map(|row| row.name);
        let plain: BTreeSet<_> = facts().filter(|name| !name.contains('.')).collect();
        // What stands behind another word begins no statement: `http`, `jwt`, `respond`.
        let behind = Context::SCHEME.or(Context::AUTH_KIND).or(Context::TARGET).or(Context::RESPOND);
        let kinds = rows().filter(|row| behind.contains(row.contexts)).map(|row| row.word);
        let arguments = rows()
            .flat_map(|row| row.argument_words())
            .chain(kinds)
            .chain(["at", "by", "else", "when"])
            .filter(|word| !operators.contains(word) && !CONSTANTS.contains(word) && !plain.contains(word))
            .collect();
        Words {
            statements,
            arguments,
            operators,
            types: TYPES
                .iter()
                .map(|row| row.name)
                .filter(|name| name.bytes().all(|b| b.is_ascii_lowercase()))
                .collect(),
            functions: FUNCTIONS.iter().map(|row| row.name).collect(),
            namespaces: facts().filter_map(|name| name.split_once('.')).map(|(before, _)| before).collect(),
            facts: plain,
        }
    }
}

/// One of these words, the longest first, so that none hides a longer one.
fn one_of<'a>(words: impl IntoIterator<Item = &'a &'a str>) -> String {
    let mut all: Vec<&str> = words.into_iter().copied().collect();
    all.sort_by_key(|word| (std::cmp::Reverse(word.len()), *word));
    format!("(?:{})", all.join("|"))
}

/// The TextMate grammar, which VS Code and others read. Regular expressions are Oniguruma's.
fn textmate() -> Json {
    let words = Words::new();
    let rule = |scope: &str, pattern: String| json!({ "name": format!("{scope}.gw"), "match": pattern });
    let word = |scope: &str, of: String| rule(scope, format!("(?<![\\w.-]){of}(?![\\w-])"));
    // Where a statement begins: at the start of a line, behind a brace or a semicolon.
    const BEGIN: &str = "(?:^|(?<=[{;]))\\s*";
    // Where a path or URL ends.
    const END: &str = "(?=[\\s;,#\")\\]}]|->|$)";
    let hole = json!({ "include": "#hole" });
    json!({
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "Gateway",
        "scopeName": "source.gw",
        "fileTypes": ["gw"],
        "patterns": [
            { "include": "#comments" },
            { "include": "#declarations" },
            { "include": "#statements" },
            { "include": "#values" },
        ],
        "repository": {
            "comments": { "patterns": [
                rule("comment.line.documentation", "##(?!#).*$".into()),
                rule("comment.line.number-sign", "#.*$".into()),
            ] },
            "declarations": { "patterns": [
                {
                    "match": format!("{BEGIN}(route)\\s+([a-z][\\w-]*)(?=\\s+[A-Z])"),
                    "captures": { "1": { "name": "keyword.control.gw" }, "2": { "name": "entity.name.function.gw" } },
                },
                {
                    "match": format!("{BEGIN}(upstream|auth|policy|api|table|input|let|tag)\\s+(?!none\\b|optional\\b)([a-z_][\\w-]*|\\*)"),
                    "captures": { "1": { "name": "keyword.control.gw" }, "2": { "name": "entity.name.type.gw" } },
                },
            ] },
            "statements": { "patterns": [{
                "match": format!("{BEGIN}({})(?=[\\s{{;}}]|$)", one_of(&words.statements)),
                "captures": { "1": { "name": "keyword.control.gw" } },
            }] },
            "values": { "patterns": [
                { "include": "#comments" },
                { "include": "#strings" },
                { "include": "#literals" },
                { "include": "#words" },
                { "include": "#signs" },
            ] },
            "strings": { "patterns": [
                { "name": "string.quoted.raw.gw", "begin": "(?<![\\w-])r(##?)\"", "end": "\"\\1" },
                rule("string.quoted.raw", "(?<![\\w-])r\"[^\"]*\"".into()),
                {
                    "name": "string.quoted.double.gw",
                    "begin": "\"",
                    "end": "\"|$",
                    "patterns": [rule("constant.character.escape", "\\\\(?:u\\{[^}\"]*\\}|.)".into()), json!({ "include": "#interpolation" })],
                },
                {
                    "name": "markup.underline.link.gw",
                    "begin": "(?<![\\w.-])[A-Za-z][A-Za-z0-9+.-]*://(?:\\[[0-9A-Fa-f:.]+\\])?",
                    "end": END,
                    "patterns": [hole],
                },
                { "name": "string.unquoted.path.gw", "begin": "(?<![\\w)\\]\"])/", "end": END, "patterns": [hole] },
            ] },
            // In a string an expression, in a path or URL also the declaration of a parameter.
            "interpolation": embedded(json!([{ "include": "#braces" }, { "include": "#values" }])),
            "hole": embedded(json!([
                rule("variable.parameter", "[A-Za-z_][\\w-]*(?=\\.\\.\\.|\\s*[:}])".into()),
                { "include": "#braces" },
                { "include": "#values" },
            ])),
            // Braces inside of `{…}`: the first `}` does not end it.
            "braces": {
                "name": "meta.braces.gw",
                "begin": "(?<=\\s)\\{",
                "end": "\\}",
                "beginCaptures": { "0": { "name": "punctuation.section.braces.begin.gw" } },
                "endCaptures": { "0": { "name": "punctuation.section.braces.end.gw" } },
                "patterns": [{ "include": "#braces" }, { "include": "#values" }],
            },
            "literals": { "patterns": [
                rule("constant.other.host", "\\*\\.[\\w.-]+(?::\\d+)?|\\{[a-z][\\w-]*\\}[.-][\\w.-]+".into()),
                rule("constant.numeric.address", "\\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\\](?::\\d+)?".into()),
                rule("constant.numeric.address", "(?<![\\w:.-])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(?:/\\d+)?".into()),
                rule("constant.numeric.address", "\\d+(?:\\.\\d+){3}(?:/\\d+|:\\d+)?(?![\\w.])".into()),
                rule("constant.numeric.address", "(?<![\\w.-])[a-z][\\w.-]*:\\d+(?!\\w)|(?<!\\w):\\d+(?!\\w)".into()),
                rule("constant.numeric.date", "\\d{4}-\\d\\d-\\d\\d".into()),
                rule("constant.numeric.uuid", "(?<![\\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}".into()),
                rule("constant.numeric.rate", "(?<![\\w.])\\d[\\d_]*/(?:s|min|h|day)(?!\\w)".into()),
                rule("constant.numeric.status-class", "(?<!\\w)[1-5]xx(?!\\w)".into()),
                rule("constant.numeric", "(?<!\\w)(?<!\\w\\.)-?\\d[\\d_]*(?:\\.\\d+)?(?:%|[A-Za-z]+)?".into()),
                word("constant.language", one_of(&CONSTANTS)),
                word("constant.language.method", one_of(&METHODS)),
            ] },
            "words": { "patterns": [
                rule("support.function", format!("(?<![\\w.-]){}(?=\\()", one_of(&words.functions))),
                rule("storage.type", format!("(?<=[:\\[|])\\s*{}(?![\\w.(-])", one_of(&words.types))),
                rule("variable.other.property", "(?<![\\w.-])[A-Za-z_][\\w-]*(?=:(?!\\d))".into()),
                word("keyword.operator.word", one_of(&words.operators)),
                rule("variable.language", format!("(?<![\\w.-]){}\\.[\\w.-]*\\w", one_of(&words.namespaces))),
                word("keyword.other", format!("{}(?!\\.)", one_of(&words.arguments))),
                word("variable.language", format!("{}(?!\\.)", one_of(&words.facts))),
                rule("variable.other", "[A-Za-z_]\\w*(?:[.-]+\\w+)*".into()),
            ] },
            "signs": { "patterns": [
                rule("keyword.operator.arrow", "->".into()),
                rule("keyword.operator", "==|!=|<=|>=|\\?\\?|\\.\\.\\.?|[<>+\\-=|?*]".into()),
                rule("punctuation.section", "[{}()\\[\\]]".into()),
                rule("punctuation.separator", "[,;:.]".into()),
            ] },
        },
    })
}

/// `{…}` on one line.
fn embedded(patterns: Json) -> Json {
    json!({
        "name": "meta.embedded.gw",
        "begin": "\\{",
        "end": "\\}|$",
        "beginCaptures": { "0": { "name": "punctuation.section.embedded.begin.gw" } },
        "endCaptures": { "0": { "name": "punctuation.section.embedded.end.gw" } },
        "patterns": patterns,
    })
}

/// The Vim syntax file.
fn vim() -> String {
    let words = Words::new();
    let list = |words: &BTreeSet<&str>| words.iter().copied().collect::<Vec<_>>().join(" ");
    let either = |words: &BTreeSet<&str>| words.iter().copied().collect::<Vec<_>>().join("\\|");
    let both: BTreeSet<&str> = words.arguments.difference(&words.statements).copied().collect();
    // A keyword goes before every match: `header` may not be one, or `header.x` would be two words.
    let named = either(&words.statements.intersection(&words.namespaces).copied().collect());
    let statements = words.statements.difference(&words.namespaces).copied().collect();
    let namespaces = either(&words.namespaces);
    let facts: BTreeSet<&str> =
        words.facts.iter().copied().filter(|w| !words.statements.contains(w) && !words.arguments.contains(w)).collect();
    let functions = either(&words.functions);
    format!(
        "\" Vim syntax file of the gateway language. Made from the tables in src/:\n\
         \" UPDATE_REFERENCE=1 cargo test --test reference\n\
         if exists('b:current_syntax')\n  finish\nendif\n\n\
         syn iskeyword @,48-57,_,-\n\n\
         syn keyword gwStatement {}\n\
         syn keyword gwWord {}\n\
         syn keyword gwOperator {}\n\
         syn keyword gwConstant {}\n\
         syn keyword gwMethod {}\n\
         syn keyword gwFact {}\n\
         syn match gwStatement /\\<\\%({named}\\)\\>\\.\\@!/\n\
         syn match gwOperator /[=!<>]=\\|[<>|+?*]/\n\
         syn match gwFact /\\<\\%({namespaces}\\)\\.[A-Za-z0-9_.-]*\\w/\n\
         syn match gwFunction /\\<\\%({functions}\\)(\\@=/\n\
         syn match gwType /[:[|]\\@1<=\\s*\\%({}\\)\\>/\n\
         syn match gwArrow /->/\n\
         syn match gwNumber /[A-Za-z0-9_.-]\\@1<!-\\?\\d[0-9_]*\\%(\\.\\d\\+\\)*\\%(%\\|[A-Za-z]\\+\\)\\?\\%(\\/[a-z0-9]\\+\\)\\?/\n\
         syn match gwPath /[A-Za-z0-9_)\\]\"]\\@1<!\\/[A-Za-z0-9._~!$&'*+=:@%\\/?-]*/ nextgroup=gwHole\n\
         syn match gwUrl /\\<[a-z][a-z0-9+.-]*:\\/\\/[A-Za-z0-9._~!$&'*+=:@%\\/?[\\]-]*/ nextgroup=gwHole\n\
         syn region gwHole start=/{{/ end=/}}/ oneline contained contains=TOP nextgroup=gwPathMore\n\
         syn match gwPathMore /[A-Za-z0-9._~!$&'*+=:@%\\/?-]\\+/ contained nextgroup=gwHole\n\
         syn match gwEscape /\\\\\\%(u{{[^}}]*}}\\|.\\)/ contained\n\
         syn region gwString start=/\"/ skip=/\\\\./ end=/\"/ oneline contains=gwEscape,gwHole\n\
         syn match gwRaw /\\<r\"[^\"]*\"/\n\
         syn region gwRaw start=/\\<r#\"/ end=/\"#/\n\
         syn match gwComment /#.*$/ contains=@Spell\n\
         syn match gwDocumentation /##\\%(#\\)\\@!.*$/ contains=@Spell\n\n\
         hi def link gwStatement Statement\n\
         hi def link gwWord Keyword\n\
         hi def link gwOperator Operator\n\
         hi def link gwArrow Operator\n\
         hi def link gwConstant Constant\n\
         hi def link gwMethod Constant\n\
         hi def link gwFact Identifier\n\
         hi def link gwFunction Function\n\
         hi def link gwType Type\n\
         hi def link gwNumber Number\n\
         hi def link gwPath String\n\
         hi def link gwPathMore String\n\
         hi def link gwUrl Underlined\n\
         hi def link gwString String\n\
         hi def link gwRaw String\n\
         hi def link gwEscape SpecialChar\n\
         hi def link gwComment Comment\n\
         hi def link gwDocumentation SpecialComment\n\n\
         let b:current_syntax = 'gw'\n",
        list(&statements),
        list(&both),
        list(&words.operators),
        CONSTANTS.join(" "),
        METHODS.join(" "),
        list(&facts),
        either(&words.types),
    )
}
