//! `oauth {…}` of an upstream.

use super::reader::{Reader, settings};
use crate::model::ast::{Oauth, OauthCredentials};
use crate::model::statements::Context;

/// `oauth {…}`.
pub(super) fn oauth(r: &mut Reader) -> Option<Oauth> {
    let mut oauth = Oauth { span: r.keyword, ..Oauth::default() };
    let block = r.block()?;
    oauth.damaged = settings(block, Context::UPSTREAM_OAUTH, r.d, |r| match r.row.word {
        "token-endpoint" => oauth.endpoint = Some(r.expr("a URL, such as `https://id.example.com/token`")),
        "client-id" => oauth.client_id = Some(r.expr("the id that the server knows, in quotes")),
        "client-secret" => oauth.client_secret = Some(r.expr("an input of type `secret`")),
        "credentials" => {
            let kinds = [("basic", OauthCredentials::Basic), ("body", OauthCredentials::Body)];
            oauth.credentials = r.one_of(&kinds);
        }
        "scopes" => oauth.scopes = r.exprs("a scope in quotes"),
        "audience" => oauth.audience = Some(r.expr("a text in quotes")),
        _ => oauth.ca = Some(r.file()),
    });
    Some(oauth)
}
