//! `cors {…}` and `cors none`.

use super::reader::{Reader, settings};
use super::route::method;
use crate::model::ast::{Cors, Expr};
use crate::model::statements::Context;

/// The block; none for `cors none`, and where the block is missing, which is reported.
pub(super) fn cors(r: &mut Reader) -> Option<Cors> {
    if r.word("none").is_some() {
        return None;
    }
    let mut cors = Cors { span: r.cursor.span(), ..Cors::default() };
    let block = r.block()?;
    let damaged = settings(block, Context::CORS, r.d, |r| setting(r, &mut cors));
    cors.damaged = damaged;
    r.failed |= damaged;
    Some(cors)
}

fn setting(r: &mut Reader, cors: &mut Cors) {
    match r.row.word {
        "origins" => match r.word("any") {
            Some(span) => cors.any_origin = Some(span),
            None => cors.origins = texts(r, "an origin in quotes, or `any`"),
        },
        "methods" => loop {
            if let Some(m) = method(r) {
                cors.methods.push(m);
            }
            if r.failed || r.cursor.op(",").is_none() {
                break;
            }
        },
        "headers" => match r.word("any") {
            Some(_) => cors.any_header = true,
            None => cors.headers = texts(r, "a header name in quotes, or `any`"),
        },
        "expose" => cors.expose = texts(r, "a header name in quotes"),
        "credentials" => cors.credentials = true,
        _ => cors.max_age = Some(r.expr("a duration, such as `1h`")),
    }
}

/// Texts at commas.
fn texts(r: &mut Reader, what: &str) -> Vec<Expr> {
    if r.cursor.at_op("*") {
        r.expected_with(what, Some("every one is written `any`".to_owned()));
    }
    r.exprs(what)
}
