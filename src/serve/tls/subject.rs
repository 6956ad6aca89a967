//! A certificate's subject as text (RFC 4514): `CN=alice,O=Shop`.

use rustls::pki_types::CertificateDer;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The subject of a certificate; none if it cannot be read.
///
/// The last part of the name stands first, as the standard has it. Values are escaped, so that none can look like
/// another part.
pub fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut text = String::new();
    let names: Vec<_> = certificate.subject().iter_rdn().collect();
    for name in names.iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        for (at, attribute) in name.iter().enumerate() {
            if at > 0 {
                text.push('+');
            }
            match oid2abbrev(attribute.attr_type(), oid_registry()) {
                Ok(known) => text.push_str(known),
                Err(_) => text.push_str(&attribute.attr_type().to_id_string()),
            }
            text.push('=');
            match attribute.as_str() {
                Ok(value) => escape(value, &mut text),
                Err(_) => {
                    text.push('#');
                    attribute.as_slice().iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
                }
            }
        }
    }
    Some(text)
}

fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.extend(['\\', c]),
            ' ' if at == 0 || at == last => text.extend(['\\', c]),
            '#' if at == 0 => text.extend(['\\', c]),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| text.push_str(&format!("\\{byte:02x}")));
            }
            c => text.push(c),
        }
    }
}
