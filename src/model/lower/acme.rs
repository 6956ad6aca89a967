//! `acme {…}` of a listener.

use super::reader::{Reader, settings};
use crate::diagnostic::nearest;
use crate::model::ast::{Acme, AcmeChallenge, AcmeDirectory};
use crate::model::statements::Context;
use crate::syntax::tree::{Item, ItemKind};

/// `acme {…}`.
pub(super) fn acme(r: &mut Reader) -> Option<Acme> {
    let mut acme = Acme { span: r.keyword, ..Acme::default() };
    let block = r.block()?;
    acme.damaged = settings(block, Context::ACME, r.d, |r| setting(r, &mut acme));
    Some(acme)
}

fn setting(r: &mut Reader, acme: &mut Acme) {
    match r.row.word {
        "agree" => acme.agreed = r.expect_word("terms"),
        "domains" => acme.domains = r.exprs("a host name in quotes"),
        "email" => acme.emails = r.exprs("an address in quotes"),
        "directory" => acme.directory = Some(directory(r)),
        "store" => acme.store = Some(r.file()),
        "ca" => acme.ca = Some(r.file()),
        "challenge" => {
            let kinds = [("tls-alpn-01", AcmeChallenge::TlsAlpn01), ("http-01", AcmeChallenge::Http01)];
            acme.challenge = r.one_of(&kinds);
            acme.forwarded = r.word("forwarded").is_some();
        }
        _ => {
            let id = r.expr("the id that the CA gave, in quotes");
            r.expect_word("key");
            let key = r.expr("an input of type `secret`");
            acme.external_account = Some((id, key));
        }
    }
}

/// `staging`, `production` or a URL.
fn directory(r: &mut Reader) -> AcmeDirectory {
    const WORDS: [&str; 2] = ["staging", "production"];
    if r.word("staging").is_some() {
        return AcmeDirectory::Staging;
    }
    if r.word("production").is_some() {
        return AcmeDirectory::Production;
    }
    if let Some(Item { kind: ItemKind::Name(word), .. }) = r.cursor.peek()
        && nearest(word, WORDS).is_some()
    {
        r.no_such_word(&WORDS);
    }
    AcmeDirectory::Url(r.expr("`staging`, `production` or a URL"))
}
