//! What holds declarations: the root, `api`, `group`, and imported files.

use super::reader::{Reader, settings, twice};
use super::{Lowering, auth, constant, host, invariant, listen, pattern, policy, route, statement, table, upstream};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{Member, PathAllow, Scope, ScopeKind, Spanned, TrailingSlash};
use crate::model::statements::Context;
use crate::source::Span;
use crate::syntax::tree::{Block, ItemKind, Stmt, StrPart};
use smol_str::SmolStr;

impl Lowering<'_> {
    /// Lowers statements: routes, scopes and policy statements into `scope`, everything else into the program. True if
    /// something went into the scope.
    pub(super) fn entries<'t>(
        &mut self,
        statements: impl Iterator<Item = &'t Stmt>,
        scope: &mut Scope,
        context: Context,
    ) -> bool {
        let mut placed = false;
        let mut seen: Vec<(&'static str, Span)> = Vec::new();
        for stmt in statements {
            let Some(mut r) = Reader::begin(stmt, context, self.d) else { continue };
            let (word, span) = (r.row.word, r.keyword);
            if !r.row.many {
                match seen.iter().find(|(w, _)| *w == word) {
                    Some((_, first)) => {
                        r.fail(twice(word, span, *first, r.row));
                        scope.damaged = true;
                        continue;
                    }
                    None => seen.push((word, span)),
                }
            }
            let p = &mut self.program;
            match word {
                "import" => {
                    let path = path(&mut r);
                    r.end();
                    if let Some(path) = path {
                        placed |= self.import(&path, scope);
                    }
                }
                "input" => p.inputs.extend(constant::input(&mut r)),
                "let" => p.lets.extend(constant::constant(&mut r)),
                "table" => p.tables.extend(table::table(&mut r)),
                "trust" => p.trust.extend(listen::trust(&mut r)),
                "upstream" => {
                    let (name, up) = (r.cursor.at_op("*"), upstream::upstream(&mut r));
                    if name { &mut p.upstream_defaults } else { &mut p.upstreams }.extend(up);
                }
                "policy" => p.policies.extend(policy::policy(&mut r)),
                "invariant" => p.invariants.extend(invariant::invariant(&mut r)),
                "state" => {
                    state(&mut r);
                    p.state.push(Spanned { value: (), span });
                }
                "listen" if context == Context::TOP => p.listeners.extend(listen::listen(&mut r)),
                "auth" if declares(&r) => p.auths.extend(auth::auth(&mut r)),
                "api" if scope.kind != ScopeKind::Root => {
                    let place = scope.span;
                    r.fail(
                        Diagnostic::new(Code::E0202, span, "an `api` may stand at top level only")
                            .label("imported into a scope")
                            .also(place, "this imports the file")
                            .help("import the file at top level, or make this a `group`"),
                    );
                }
                "route" => {
                    placed = true;
                    scope.members.extend(route::route(&mut r).map(Member::Route));
                }
                "api" | "group" => {
                    placed = true;
                    let (mut inner, block) = head(&mut r, word == "api");
                    if let Some(block) = block {
                        let context = if word == "api" { Context::API } else { Context::GROUP };
                        self.entries(block.statements(), &mut inner, context);
                    }
                    scope.members.push(Member::Scope(inner));
                }
                _ if context == Context::API && setting(&mut r, scope) => {
                    r.end();
                    if r.failed && word == "listen" {
                        scope.listen.clear();
                    }
                    scope.damaged |= r.failed;
                }
                _ => {
                    placed = true;
                    scope.statements.extend(statement::policy(&mut r));
                    r.end();
                }
            }
        }
        placed
    }

    fn import(&mut self, path: &Spanned<SmolStr>, scope: &mut Scope) -> bool {
        let place = (scope.kind != ScopeKind::Root).then_some(scope.span);
        let mut placed = false;
        for file in self.imports.resolve(path, place, self.d) {
            if let Some(tree) = self.imports.enter(file, self.d) {
                self.unbalanced.extend(super::unbalanced::regions(&tree, self.d));
                let here = self.entries(tree.statements(), scope, Context::TOP);
                self.imports.leave(file, here);
                placed |= here;
            }
        }
        placed
    }
}

/// `auth NAME =`, where `auth NAME` demands.
fn declares(r: &Reader) -> bool {
    r.row.contexts == Context::TOP
        && (matches!(r.cursor.peek_at(1).map(|i| &i.kind), Some(ItemKind::Op(op)) if op == "=")
            || matches!(r.cursor.peek_at(1).map(|i| &i.kind), Some(ItemKind::Braces(_)))
            || matches!(r.cursor.peek_at(2).map(|i| &i.kind), Some(ItemKind::Braces(_))))
}

/// `api NAME [PREFIX] {`, `group [PREFIX] {`.
fn head<'t>(r: &mut Reader<'t, '_>, api: bool) -> (Scope, Option<&'t Block>) {
    let mut scope =
        Scope { kind: if api { ScopeKind::Api } else { ScopeKind::Group }, docs: r.docs(), ..Scope::default() };
    if api {
        scope.name = r.declared("an api");
    } else if matches!(r.cursor.peek().map(|i| &i.kind), Some(ItemKind::Name(_)))
        && !matches!(r.cursor.peek_at(1), Some(i) if !i.spaced)
    {
        let help = "a group has a prefix and no name: `group /admin { … }`".to_owned();
        r.expected_with("a prefix or `{`", Some(help));
        r.cursor.next();
    }
    if !r.cursor.is_empty() && !matches!(r.cursor.peek().map(|i| &i.kind), Some(ItemKind::Braces(_))) {
        let prefix = pattern::prefix(r);
        scope.prefix = Some(prefix);
        scope.damaged = r.failed;
    }
    scope.span = r.span();
    let block = r.block();
    r.end();
    (scope, block)
}

/// A setting of an `api`; false where the word is none.
fn setting(r: &mut Reader, scope: &mut Scope) -> bool {
    match r.row.word {
        "host" => scope.hosts = host::hosts(r),
        "listen" => loop {
            if let Some(ItemKind::Op(op)) = r.cursor.peek().map(|i| &i.kind)
                && op.starts_with(':')
            {
                r.expected_with(
                    "the name of a listener",
                    Some(format!("declare it at top level, `listen NAME http {op}`, and name it here")),
                );
            }
            scope.listen.extend(r.reference("the name of a listener"));
            if r.failed || r.cursor.op(",").is_none() {
                break;
            }
        },
        "paths" => {
            r.expect_word("allow");
            while !r.failed {
                scope.paths.extend(r.one_of(&[
                    ("encoded-slash", PathAllow::EncodedSlash),
                    ("empty-segments", PathAllow::EmptySegments),
                    ("semicolon", PathAllow::Semicolon),
                ]));
                if r.cursor.op(",").is_none() {
                    break;
                }
            }
        }
        "trailing-slash" => {
            scope.trailing_slash =
                r.one_of(&[("redirect", TrailingSlash::Redirect), ("ignore", TrailingSlash::Ignore)]);
        }
        _ => return false,
    }
    true
}

/// `state memory`.
fn state(r: &mut Reader) {
    if r.cursor.at_word("redis") {
        let span = r.cursor.span();
        return r.unsupported(span, "`state redis`");
    }
    r.expect_word("memory");
    if let Some(block) = r.cursor.braces() {
        settings(block, Context::NOWHERE, r.d, |_| {});
    }
    r.end();
}

/// The quoted path of an `import`.
fn path(r: &mut Reader) -> Option<Spanned<SmolStr>> {
    let span = r.cursor.span();
    let text = match r.cursor.peek().map(|i| &i.kind) {
        Some(ItemKind::Str(parts)) => match parts.as_slice() {
            [StrPart::Text(text, _)] => text.clone(),
            [] => SmolStr::default(),
            _ => {
                r.expected_with(
                    "a file name",
                    Some("imports are read before anything has a value: write the name out".to_owned()),
                );
                return None;
            }
        },
        Some(ItemKind::Raw(text)) => text.clone(),
        Some(_) => {
            r.file();
            return None;
        }
        None => {
            r.expected_with("a file name in quotes", Some("write `import \"policies/common.gw\"`".to_owned()));
            return None;
        }
    };
    r.cursor.next();
    Some(Spanned { value: text, span })
}
