//! Certificates: issued ones, the stand-in before the first, and the one that answers TLS-ALPN-01.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate that a CA has issued, with its key. It has no `Debug`: keys are never printed.
pub(super) struct Issued {
    /// The key, then the chain: what is kept on disk.
    pub pem: String,
    /// The same for handshakes.
    pub certified: Arc<CertifiedKey>,
    /// When its time begins and ends.
    pub validity: Validity,
}

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub begins: SystemTime,
    pub ends: SystemTime,
}

impl Issued {
    /// Reads a key and a chain, and makes sure that they are one another's and for `name`. The error is a sentence.
    pub fn read(pem: String, name: &str) -> Result<Issued, String> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("no private key: {error}"))?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| format!("not a certificate: {error}"))?;
        let first = chain.first().ok_or("no certificate in it")?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|error| format!("not a certificate: {error}"))?;
        if !names(&parsed).any(|n| n.eq_ignore_ascii_case(name)) {
            return Err(format!("the certificate is not for {name}"));
        }
        let validity = Validity {
            begins: time(parsed.validity().not_before.timestamp()),
            ends: time(parsed.validity().not_after.timestamp()),
        };
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| error.to_string())?;
        Ok(Issued { pem, certified: Arc::new(certified), validity })
    }

    /// The certificate itself.
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.certified.cert.first()
    }
}

fn names<'c>(certificate: &'c X509Certificate<'_>) -> impl Iterator<Item = &'c str> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    })
}

fn time(seconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A certificate that nobody signed: so that handshakes end while there is no other.
pub(super) fn stand_in(name: &str) -> Result<Arc<CertifiedKey>, String> {
    let mut params = CertificateParams::new([name.to_owned()]).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "gw: no certificate was issued yet");
    self_signed(params)
}

/// What TLS-ALPN-01 is answered with (RFC 8737, 3).
pub(super) fn challenge(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    if digest.len() != 32 {
        return Err("the digest is not one of SHA-256".into());
    }
    let mut params = CertificateParams::new([name.to_owned()]).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    self_signed(params)
}

fn self_signed(params: CertificateParams) -> Result<Arc<CertifiedKey>, String> {
    let made = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) = made().map_err(|error| error.to_string())?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let key = provider().key_provider.load_private_key(key.into()).map_err(|error| error.to_string())?;
    // Not `from_der`: it would not read the challenge's critical extension.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Key and certificate of a name, good between two times (in seconds).
    pub fn pem(name: &str, begins: u64, ends: u64) -> String {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(begins);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(ends);
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        format!("{}{}", key.serialize_pem(), params.self_signed(&key).unwrap().pem())
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let issued = Issued::read(pem("shop.example", 1_000, 2_000), "shop.example").unwrap();
        assert_eq!(issued.validity, Validity { begins: time(1_000), ends: time(2_000) });
        let read = |pem: &str, name| Issued::read(pem.to_owned(), name).err().unwrap();
        assert_eq!(read(&issued.pem, "other.example"), "the certificate is not for other.example");
        assert!(read("", "x").contains("no private key"));
        let (key, chain) = issued.pem.split_once("-----BEGIN CERTIFICATE").unwrap();
        assert_eq!(read(key, "x"), "no certificate in it");
        let other = pem("shop.example", 1_000, 2_000);
        let (other, _) = other.split_once("-----BEGIN CERTIFICATE").unwrap();
        assert!(read(&format!("{other}-----BEGIN CERTIFICATE{chain}"), "shop.example").contains("KeyMismatch"));
    }

    #[test]
    fn the_answer_to_tls_alpn_01_has_the_digest() {
        let answer = challenge("shop.example", &[7; 32]).unwrap();
        let (_, parsed) = X509Certificate::from_der(answer.cert.first().unwrap()).unwrap();
        assert_eq!(names(&parsed).collect::<Vec<_>>(), ["shop.example"]);
        let identifier = parsed.extensions().iter().find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(identifier.critical && identifier.value.ends_with(&[7; 32]));
        assert!(challenge("shop.example", &[7; 20]).is_err());
        let stand_in = stand_in("shop.example").unwrap();
        let (_, parsed) = X509Certificate::from_der(stand_in.cert.first().unwrap()).unwrap();
        assert_eq!(names(&parsed).collect::<Vec<_>>(), ["shop.example"]);
    }
}
