//! `auth NAME = KIND {…}`.

use super::reader::{Reader, error, settings};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{ApiKeys, Auth, AuthKind, Claim, CredentialPlace, JwtKeys, Name, OrAny, Spanned};
use crate::model::cursor::Cursor;
use crate::model::statements::{self, Context};
use crate::source::Span;
use crate::syntax::tree::{Block, Item, ItemKind, StrPart};
use smol_str::SmolStr;

/// `auth NAME = KIND {…}`.
pub(super) fn auth(r: &mut Reader) -> Option<Auth> {
    let name = r.declared("an auth")?;
    if r.cursor.op("=").is_none() {
        let kinds: Vec<&str> = statements::words(Context::AUTH_KIND).collect();
        let kind = match r.cursor.peek().map(|i| &i.kind) {
            Some(ItemKind::Name(word)) if kinds.contains(&word.as_str()) => word.as_str(),
            _ => "jwt",
        };
        r.expected_with("`=` and a kind", Some(format!("an auth is declared `auth {} = {kind} {{ … }}`", name.text)));
    }
    let mut auth = Auth {
        name,
        kind: AuthKind::Error,
        claims: Vec::new(),
        from: None,
        forward_credentials: false,
        docs: r.docs(),
        span: r.span(),
        damaged: false,
    };
    auth.kind = kind(r);
    auth.span = r.span();
    let context = match auth.kind {
        AuthKind::Jwt { .. } => Context::JWT,
        AuthKind::ApiKey { .. } => Context::API_KEY,
        AuthKind::Error => {
            auth.damaged = true;
            return Some(auth);
        }
    };
    match r.block() {
        Some(block) => auth.damaged = settings(block, context, r.d, |r| setting(r, &mut auth)),
        // What it lacks is all that a block would say.
        None => auth.kind = AuthKind::Error,
    }
    r.end();
    auth.damaged |= r.failed;
    Some(auth)
}

fn kind(r: &mut Reader) -> AuthKind {
    if let Some(Item { kind: ItemKind::Name(word), span, .. }) = r.cursor.peek()
        && let Some(row) = statements::find(word, Context::AUTH_KIND)
    {
        r.cursor.next();
        match row.word {
            "jwt" => {
                return AuthKind::Jwt {
                    issuer: None,
                    audience: None,
                    algorithms: Vec::new(),
                    leeway: None,
                    keys: None,
                };
            }
            "api-key" => return AuthKind::ApiKey { keys: None },
            _ => r.unsupported(*span, &format!("`{word}`")),
        }
        return AuthKind::Error;
    }
    let kinds: Vec<&str> = statements::words(Context::AUTH_KIND).collect();
    r.no_such_word(&kinds);
    AuthKind::Error
}

fn setting(r: &mut Reader, auth: &mut Auth) {
    match r.row.word {
        "from" => auth.from = from(r, matches!(auth.kind, AuthKind::ApiKey { .. })),
        "claims" => {
            if let Some(block) = r.block() {
                auth.claims = claims(r, block);
            }
        }
        "forward" => {
            r.expect_word("credentials");
            auth.forward_credentials = true;
        }
        word => match &mut auth.kind {
            AuthKind::Jwt { issuer, audience, algorithms, leeway, keys } => match word {
                "issuer" => *issuer = Some(or_any(r)),
                "audience" => *audience = Some(or_any(r)),
                "algorithms" => *algorithms = algorithm_names(r),
                "leeway" => *leeway = Some(r.expr("a duration, such as `30s`")),
                _ => jwt_keys(r, keys),
            },
            AuthKind::ApiKey { keys } => *keys = api_keys(r),
            AuthKind::Error => {}
        },
    }
}

fn or_any(r: &mut Reader) -> OrAny {
    match r.word("any") {
        Some(span) => OrAny::Any(span),
        None => OrAny::Texts(r.exprs("a text in quotes, or `any`")),
    }
}

fn algorithm_names(r: &mut Reader) -> Vec<Name> {
    let mut names = Vec::new();
    loop {
        if let Some(Item { kind: ItemKind::Str(_), .. }) = r.cursor.peek() {
            r.expected_with(
                "the name of an algorithm",
                Some("algorithms stand without quotes: `algorithms RS256, ES256`".to_owned()),
            );
        }
        let Some(name) = r.reference("the name of an algorithm, such as `RS256`") else { break };
        names.push(name);
        if r.cursor.op(",").is_none() {
            break;
        }
    }
    names
}

/// `jwks file P`, `key file P`, `secret EXPR`: one of them.
fn jwt_keys(r: &mut Reader, keys: &mut Option<Spanned<JwtKeys>>) {
    let (word, span) = (r.row.word, r.keyword);
    if let Some(first) = keys {
        let first = first.span;
        return r.fail(
            Diagnostic::new(Code::E0206, span, "the keys of a `jwt` are given twice")
                .label("again here")
                .also(first, "first given here")
                .help("keep one of `jwks`, `key` and `secret`"),
        );
    }
    let value = match word {
        "secret" => JwtKeys::Secret(r.expr("an input of type `secret`")),
        _ => {
            let file = key_file(r);
            if word == "jwks" { JwtKeys::JwksFile(file) } else { JwtKeys::KeyFile(file) }
        }
    };
    *keys = Some(Spanned { value, span });
}

/// `file "PATH"`.
fn key_file(r: &mut Reader) -> crate::model::ast::Expr {
    match r.cursor.peek() {
        Some(Item { kind: ItemKind::Url(_), span, .. }) => {
            r.cursor.next();
            r.unsupported(*span, "a key set from the network");
            error(*span)
        }
        Some(Item { kind: ItemKind::Str(_) | ItemKind::Raw(_), span, .. }) => {
            let text = r.cursor.peek().and_then(super::reader::plain).unwrap_or_else(|| "\"PATH\"".to_owned());
            let help = match text.starts_with("\"http") {
                true => "a key set is read from a file: `jwks file \"keys.json\"`".to_owned(),
                false => format!("write `{} file {text}`", r.row.word),
            };
            r.expected_with("`file`", Some(help));
            r.cursor.next();
            error(*span)
        }
        _ => {
            r.expect_word("file");
            r.file()
        }
    }
}

fn api_keys(r: &mut Reader) -> Option<Spanned<ApiKeys>> {
    let span = r.keyword;
    let value = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Braces(block), .. }) => {
            r.cursor.next();
            ApiKeys::Named(named_keys(r, block))
        }
        Some(Item { kind: ItemKind::Name(word), span: at, .. }) if word == "redis" => {
            r.cursor.next();
            r.unsupported(*at, "`keys redis`");
            return None;
        }
        _ => ApiKeys::File(key_file(r)),
    };
    Some(Spanned { value, span })
}

/// `{ name: INPUT, … }`.
fn named_keys<'t>(r: &mut Reader<'t, '_>, block: &'t Block) -> Vec<(Name, crate::model::ast::Expr)> {
    let mut keys: Vec<(Name, _)> = Vec::new();
    for (items, whole) in entries(block) {
        let Some((text, span)) = field(r, items, whole) else { continue };
        let outer = std::mem::replace(&mut r.cursor, Cursor::new(&items[2..], whole));
        let value = r.expr("an input of type `secret`");
        r.end();
        r.cursor = outer;
        if let Some((first, _)) = keys.iter().find(|(n, _)| n.text == text) {
            let first = first.span;
            r.fail(super::reader::twice(text, span, first, r.row));
        }
        keys.push((Name { text: text.into(), span }, value));
    }
    keys
}

/// The fields of value braces: at line breaks, `;` and commas.
fn entries(block: &Block) -> impl Iterator<Item = (&[Item], Span)> {
    block.statements().filter(|s| !s.damaged).flat_map(|s| {
        let parts = Cursor::new(&s.items, s.span).split_commas();
        parts.filter(|items| !items.is_empty()).map(|items| {
            let whole = items[0].span.to(items[items.len() - 1].span);
            (items, whole)
        })
    })
}

/// `NAME:` at the beginning of an entry; what follows begins at the third item.
fn field<'t>(r: &mut Reader, items: &'t [Item], whole: Span) -> Option<(&'t str, Span)> {
    match items {
        [Item { kind: ItemKind::Name(name), span, .. }, Item { kind: ItemKind::Op(op), .. }, ..] if op == ":" => {
            Some((name.as_str(), *span))
        }
        [Item { kind: ItemKind::Name(name), span, .. }, ..] => {
            r.fail(
                Diagnostic::new(Code::E0204, span.after(), format!("expected `:` after `{name}`"))
                    .label("expected `:`")
                    .help(format!("an entry is written `{name}: …`")),
            );
            None
        }
        _ => {
            r.fail(
                Diagnostic::new(Code::E0204, whole, "expected a name and `:`")
                    .label("expected a name")
                    .help("an entry is written `NAME: …`; names stand without quotes"),
            );
            None
        }
    }
}

/// `header.X`, `cookie.X`, and for keys `query.X`.
fn from(r: &mut Reader, query: bool) -> Option<Spanned<CredentialPlace>> {
    let what = if query { "`header.NAME`, `cookie.NAME` or `query.NAME`" } else { "`header.NAME` or `cookie.NAME`" };
    let Some((text, span)) = r.cursor.name() else {
        r.expected(what);
        return None;
    };
    let place = match text.split_once('.') {
        Some(("header", name)) => CredentialPlace::Header(name.to_ascii_lowercase().into()),
        Some(("cookie", name)) => CredentialPlace::Cookie(name.into()),
        Some(("query", name)) if query => CredentialPlace::Query(name.into()),
        other => {
            let help = match other {
                Some(("query", _)) => {
                    "a token in the query ends up in logs and histories: take it from a header or cookie".to_owned()
                }
                _ => format!("write `from header.{}`", text.rsplit('.').next().unwrap_or(text)),
            };
            r.fail(
                Diagnostic::new(Code::E0208, span, format!("`{text}` is no place for a credential"))
                    .label(format!("expected {what}"))
                    .help(help),
            );
            return None;
        }
    };
    Some(Spanned { value: place, span })
}

fn claims<'t>(r: &mut Reader<'t, '_>, block: &'t Block) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    for (items, whole) in entries(block) {
        let outer_failed = std::mem::replace(&mut r.failed, false);
        if let Some((text, span)) = field(r, items, whole) {
            r.check_declared(text, span, "a claim");
            let outer = std::mem::replace(&mut r.cursor, Cursor::new(&items[2..], whole));
            let ty = r.ty();
            let path = match r.word("from") {
                Some(_) => claim_path(r),
                None => vec![SmolStr::new(text)],
            };
            r.end();
            r.cursor = outer;
            match claims.iter().find(|c| c.name.text == text) {
                Some(first) => r.fail(
                    Diagnostic::new(Code::E0206, span, format!("the claim `{text}` is declared twice"))
                        .label("again here")
                        .also(first.name.span, "first declared here")
                        .help("keep the one that is meant"),
                ),
                None => claims.push(Claim { name: Name { text: text.into(), span }, ty, path }),
            }
        }
        r.failed |= outer_failed;
    }
    claims
}

/// `realm_access.roles`, `["odd name"]`, `resource["odd name"]`.
fn claim_path(r: &mut Reader) -> Vec<SmolStr> {
    let mut path = Vec::new();
    loop {
        match r.cursor.peek() {
            Some(Item { kind: ItemKind::Name(name), .. }) if path.is_empty() => {
                path.extend(name.split('.').map(SmolStr::new))
            }
            Some(Item { kind: ItemKind::List(items), spaced, .. }) if path.is_empty() || !spaced => {
                match items.as_slice() {
                    [Item { kind: ItemKind::Str(parts), .. }] => match parts.as_slice() {
                        [StrPart::Text(text, _)] => path.push(text.clone()),
                        _ => break,
                    },
                    [Item { kind: ItemKind::Raw(text), .. }] => path.push(text.clone()),
                    _ => break,
                }
            }
            _ => break,
        }
        r.cursor.next();
    }
    if path.is_empty() {
        r.expected_with(
            "where the claim stands",
            Some(
                "a path is written `from realm_access.roles`, an odd name `from [\"https://shop.example/tier\"]`"
                    .to_owned(),
            ),
        );
    }
    path
}
