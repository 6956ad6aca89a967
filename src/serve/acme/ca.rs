//! A CA: the account there, and orders.

use super::certificate::{self, Issued};
use super::store::Store;
use super::trouble::Trouble;
use crate::model::ast::AcmeChallenge as Challenge;
use crate::plan::Issuer;
use crate::serve::tls::{Answering, Challenges};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeStatus,
    ChallengeType, ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// How often the CA is asked how an order stands.
const POLLS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(150));

/// A CA with the account there, which all names share.
pub(super) struct Ca {
    pub issuer: Issuer,
    pub store: Store,
    account: Mutex<Option<Account>>,
}

/// The account as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// What the CA was told.
    emails: Vec<String>,
    credentials: AccountCredentials,
}

impl Ca {
    pub fn new(issuer: Issuer, store: Store) -> Ca {
        Ca { issuer, store, account: Mutex::new(None) }
    }

    /// Orders a certificate for `domain`, which replaces `old` if that is given.
    pub async fn order(
        &self,
        domain: &SmolStr,
        old: Option<&Issued>,
        challenges: &Arc<Challenges>,
    ) -> Result<Issued, Trouble> {
        let outcome = self.try_order(domain, old, challenges).await;
        if let Err(trouble) = &outcome {
            // What is known of the CA may be wrong by now.
            *self.account.lock().await = None;
            if trouble.problem.as_deref() == Some("accountDoesNotExist") {
                self.store.forget_account().map_err(Trouble::here)?;
            }
        }
        outcome
    }

    async fn try_order(
        &self,
        domain: &SmolStr,
        old: Option<&Issued>,
        challenges: &Arc<Challenges>,
    ) -> Result<Issued, Trouble> {
        let trouble = |error: instant_acme::Error| Trouble::of(&error, self.issuer.challenge, domain);
        let account = self.account(domain).await.map_err(|trouble| self.about_account(trouble))?;
        let names = [Identifier::Dns(domain.to_string())];
        let replaces = old.and_then(|old| CertificateIdentifier::try_from(old.leaf()?).ok());
        let mut order = match replaces {
            None => account.new_order(&NewOrder::new(&names)).await.map_err(trouble)?,
            // Not every CA takes it, and not always: it is a hint.
            Some(replaces) => match account.new_order(&NewOrder::new(&names).replaces(replaces)).await {
                Ok(order) => order,
                Err(_) => account.new_order(&NewOrder::new(&names)).await.map_err(trouble)?,
            },
        };
        let answering = self.prove(&mut order, domain, challenges).await?;
        let status = order.poll_ready(&POLLS).await;
        drop(answering);
        match status {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
            Ok(_) => return Err(self.why_invalid(&mut order, domain).await),
            // What is wrong with a name says more than what is wrong with the order.
            Err(error @ instant_acme::Error::Api(_)) => {
                let why = self.why_invalid(&mut order, domain).await;
                return Err(if why.problem.is_some() { why } else { trouble(error) });
            }
            Err(error) => return Err(trouble(error)),
        }
        let key = order.finalize().await.map_err(trouble)?;
        let chain = order.poll_certificate(&POLLS).await.map_err(trouble)?;
        Issued::read(format!("{key}{chain}"), domain)
            .map_err(|why| Trouble::here(format!("the CA's certificate cannot be used: {why}")))
    }

    /// Answers each of the order's challenges and tells the CA to look.
    async fn prove(
        &self,
        order: &mut Order,
        domain: &SmolStr,
        challenges: &Arc<Challenges>,
    ) -> Result<Vec<Answering>, Trouble> {
        let trouble = |error: instant_acme::Error| Trouble::of(&error, self.issuer.challenge, domain);
        let mut answering = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(trouble)?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let kind = match self.issuer.challenge {
                Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
                Challenge::Http01 => ChallengeType::Http01,
            };
            let Some(mut challenge) = authorization.challenge(kind) else {
                let name = self.issuer.challenge.name();
                return Err(Trouble::here(format!("the CA does not offer {name} for {domain}")));
            };
            let proof = challenge.key_authorization();
            answering.push(match self.issuer.challenge {
                Challenge::Http01 => challenges.answer_token(&challenge.token, proof.as_str()),
                Challenge::TlsAlpn01 => {
                    let certificate = certificate::challenge(domain, proof.digest().as_ref()).map_err(Trouble::here)?;
                    challenges.answer_handshake(domain, certificate)
                }
            });
            challenge.set_ready().await.map_err(trouble)?;
        }
        Ok(answering)
    }

    /// The challenge that failed has the reason.
    async fn why_invalid(&self, order: &mut Order, domain: &str) -> Trouble {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let Ok(mut authorization) = authorization else { continue };
            let Ok(state) = authorization.refresh().await else { continue };
            let failed = state.challenges.iter().filter(|challenge| challenge.status == ChallengeStatus::Invalid);
            if let Some(problem) = failed.filter_map(|challenge| challenge.error.as_ref()).next() {
                return Trouble::refused(problem, self.issuer.challenge, domain);
            }
        }
        Trouble { kind: super::schedule::Kind::Refused, ..Trouble::here("the CA refuses, without a reason") }
    }

    /// When the CA suggests to renew a certificate (RFC 9773), from when until when, and how long that holds.
    pub async fn window(&self, domain: &str, issued: &Issued) -> Option<(SystemTime, SystemTime, Duration)> {
        let id = CertificateIdentifier::try_from(issued.leaf()?).ok()?;
        let account = self.account(domain).await.ok()?;
        let (info, again) = account.renewal_info(&id).await.ok()?;
        let time = |seconds: i64| {
            let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        let window = &info.suggested_window;
        Some((time(window.start.unix_timestamp())?, time(window.end.unix_timestamp())?, again))
    }

    /// What goes wrong before a name was asked about has nothing to do with where the name leads.
    fn about_account(&self, trouble: Trouble) -> Trouble {
        let advice = match trouble.problem.as_deref() {
            Some("unauthorized" | "malformed") => self
                .issuer
                .external_account
                .as_ref()
                .map(|_| "are the id and the key of `external-account` right?".to_owned()),
            _ => trouble.advice,
        };
        Trouble { advice, ..trouble }
    }

    /// The account: kept, or made now.
    async fn account(&self, domain: &str) -> Result<Account, Trouble> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let _lock = self.store.lock("account").await.map_err(Trouble::here)?;
        let account = match self.store.account().map_err(Trouble::here)? {
            Some(json) => self.restore(&json, domain).await?,
            None => self.register(domain).await?,
        };
        *known = Some(account.clone());
        Ok(account)
    }

    async fn restore(&self, json: &str, domain: &str) -> Result<Account, Trouble> {
        let trouble = |error: instant_acme::Error| Trouble::of(&error, self.issuer.challenge, domain);
        let read = || -> Result<Kept, Trouble> {
            serde_json::from_str(json).map_err(|error| Trouble {
                advice: Some("remove it for a new account".to_owned()),
                ..Trouble::here(format!("`account.json` cannot be read: {error}"))
            })
        };
        let kept = read()?;
        let account = self.client()?.from_credentials(kept.credentials).await.map_err(trouble)?;
        if !kept.emails.iter().eq(self.issuer.emails.iter()) {
            let contacts = self.contacts();
            let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
            account.update_contacts(&contacts).await.map_err(trouble)?;
            self.keep(read()?.credentials)?;
        }
        Ok(account)
    }

    async fn register(&self, domain: &str) -> Result<Account, Trouble> {
        let trouble = |error: instant_acme::Error| Trouble::of(&error, self.issuer.challenge, domain);
        let contacts = self.contacts();
        let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
        // `agree terms` stands in the program, or it would not be served.
        let new = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
        let external = self.external_account()?;
        let directory = self.issuer.directory.to_string();
        let (account, credentials) =
            self.client()?.create(&new, directory, external.as_ref()).await.map_err(trouble)?;
        self.keep(credentials)?;
        tracing::info!(ca = self.issuer.directory.as_str(), account = account.id(), "acme: registered");
        Ok(account)
    }

    fn keep(&self, credentials: AccountCredentials) -> Result<(), Trouble> {
        let kept = Kept { emails: self.issuer.emails.iter().map(ToString::to_string).collect(), credentials };
        let json = serde_json::to_string_pretty(&kept).map_err(|error| Trouble::here(error.to_string()))?;
        self.store.keep_account(&json).map_err(Trouble::here)
    }

    fn contacts(&self) -> Vec<String> {
        self.issuer.emails.iter().map(|email| format!("mailto:{email}")).collect()
    }

    fn external_account(&self) -> Result<Option<ExternalAccountKey>, Trouble> {
        let Some((id, key)) = &self.issuer.external_account else { return Ok(None) };
        let key = key.as_ref().ok_or_else(|| Trouble::here("the key of `external-account` has no value"))?;
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(key.expose().trim().trim_end_matches('='))
            .map_err(|_| Trouble::here("the key of `external-account` is not base64url, as CAs give it"))?;
        Ok(Some(ExternalAccountKey::new(id.to_string(), &bytes)))
    }

    fn client(&self) -> Result<AccountBuilder, Trouble> {
        let client = match &self.issuer.ca_file {
            Some(file) => Account::builder_with_root(file)
                .map_err(|error| Trouble::here(format!("`{}`: {error}", file.display())))?,
            None => Account::builder().map_err(|error| Trouble::here(error.to_string()))?,
        };
        Ok(client)
    }
}
