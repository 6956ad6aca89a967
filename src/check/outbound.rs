//! What happens to the answer: `response`, `on upstream`, `on error`, `tag`, `log`.

use super::Compiler;
use super::expr;
use super::route::Seen;
use super::scope::Block;
use super::statement::{Message, nearest};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{self, StatementKind};
use crate::model::facts::Phase;
use crate::model::types::Type;
use crate::plan::{OnError, OnUpstream, Outbound, Respond, RespondBody, Step};
use crate::policy::problem::FailureKind;
use std::rc::Rc;

impl<'p> Compiler<'p> {
    pub(super) fn outbound(&mut self, blocks: &[Rc<Block<'p>>], seen: &mut Seen<'p>) -> Outbound {
        let mut edits = Vec::new();
        let mut log = Vec::new();
        let mut tags = Vec::new();
        let (mut on_upstream, mut on_error) = (Vec::new(), Vec::new());
        for (depth, f) in blocks.iter().enumerate().flat_map(|(i, b)| b.statements.iter().map(move |f| (i, f))) {
            let origin = self.origin(f.statement.span);
            seen.under(f);
            match &f.statement.kind {
                StatementKind::Response(list) => {
                    for a in list {
                        let Some((edit, _)) = self.edit(a, Message::Response, Phase::Response, f, seen) else {
                            continue;
                        };
                        let origin = self.origin(a.span);
                        edits.push(self.edit_step(a, f, Phase::Response, edit, origin, seen));
                    }
                }
                StatementKind::OnUpstream { statuses, respond } => {
                    let respond = self.respond(respond, Phase::Response, seen, f.arguments.as_ref());
                    let what = OnUpstream { statuses: statuses.iter().map(|s| s.value).collect(), respond };
                    on_upstream.push((depth, self.step(f, Phase::Response, what, &origin, seen).0));
                }
                StatementKind::OnError { kinds, respond } => {
                    let kinds = kinds.iter().filter_map(|k| FailureKind::named(&k.text)).collect();
                    let respond = self.respond(respond, Phase::Error, seen, f.arguments.as_ref());
                    on_error.push((depth, self.step(f, Phase::Error, OnError { kinds, respond }, &origin, seen).0));
                }
                StatementKind::Tag { name, value } => {
                    let typed = self.typed(value, None, Phase::Record, "a tag", seen, f.arguments.as_ref());
                    expr::forbid_secret(&typed, "a tag", self.d);
                    tags.push(self.step(f, Phase::Record, (name.text.clone(), typed.ir), &origin, seen).0);
                }
                StatementKind::Log(fields) => {
                    let fields = fields.as_ref().map(|list| {
                        let fields = list.iter().map(|(name, value)| {
                            let typed =
                                self.typed(value, None, Phase::Record, "a log field", seen, f.arguments.as_ref());
                            expr::forbid_secret(&typed, "a log", self.d);
                            (name.text.clone(), typed.ir)
                        });
                        fields.collect()
                    });
                    log.push((depth, self.step(f, Phase::Record, fields, &origin, seen).0));
                }
                _ => {}
            }
        }
        Outbound {
            edits: edits.into(),
            on_upstream: inner_blocks_first(on_upstream),
            on_error: inner_blocks_first(on_error),
            tags: tags.into(),
            log: nearest(log),
        }
    }

    /// A fixed answer.
    pub(super) fn respond(
        &mut self,
        r: &'p ast::Respond,
        phase: Phase,
        seen: &mut Seen<'p>,
        arguments: Option<&Rc<super::scope::Arguments<'p>>>,
    ) -> Respond {
        let status = self.status(&r.status, 200..=599, "the status of an answer").unwrap_or(500);
        let mut value = |this: &mut Self, e: &'p ast::Expr, ty: Option<&Type>, place: &'static str| {
            let typed = this.typed(e, ty, phase, place, seen, arguments);
            expr::forbid_secret(&typed, "a response", this.d);
            typed.ir
        };
        let body = match &r.body {
            ast::RespondBody::None => RespondBody::None,
            ast::RespondBody::Json(e) => RespondBody::Json(value(self, e, None, "the body of an answer")),
            ast::RespondBody::Text(e) => {
                RespondBody::Text(value(self, e, Some(&Type::String), "the body of an answer"))
            }
            ast::RespondBody::Html(e) => {
                RespondBody::Html(value(self, e, Some(&Type::String), "the body of an answer"))
            }
            ast::RespondBody::Problem(e) => {
                RespondBody::Problem(value(self, e, Some(&Type::String), "the title of an answer"))
            }
            ast::RespondBody::File(e) => match self.path(e, "the file of an answer") {
                Some(path) => match self.files.read(&path) {
                    Ok(text) => {
                        self.plan.watched.push(path.clone());
                        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
                        RespondBody::File(text.into(), media_type(extension))
                    }
                    Err(why) => {
                        self.d.push(
                            Diagnostic::new(Code::E0612, e.span, format!("the file cannot be read: {why}"))
                                .label(path.display().to_string())
                                .help("paths are relative to the file that they are written in"),
                        );
                        RespondBody::None
                    }
                },
                None => RespondBody::None,
            },
        };
        if matches!(status, 204 | 304) && !matches!(body, RespondBody::None) {
            self.d.push(
                Diagnostic::new(Code::E0613, r.span, format!("an answer with status {status} has no body"))
                    .label("its body would never be sent")
                    .help("remove the body, or answer with 200"),
            );
        }
        Respond { status, body, origin: self.origin(r.span) }
    }

    /// Runs `f` with its diagnostics going elsewhere.
    pub(super) fn quietly<T>(&mut self, scratch: &mut Diagnostics, f: impl FnOnce(&mut Self) -> T) -> T {
        std::mem::swap(self.d, scratch);
        let out = f(self);
        std::mem::swap(self.d, scratch);
        out
    }
}

/// Inner blocks first, each as written: the first that matches is taken.
fn inner_blocks_first<T>(mut outer_first: Vec<(usize, Step<T>)>) -> Box<[Step<T>]> {
    outer_first.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
    outer_first.into_iter().map(|(_, s)| s).collect()
}

/// The media type of a file by its extension.
fn media_type(extension: &str) -> &'static str {
    match extension {
        "html" | "htm" => "text/html; charset=utf-8",
        "json" => "application/json",
        "txt" | "md" => "text/plain; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    }
}
