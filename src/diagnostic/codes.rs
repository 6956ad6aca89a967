//! The registry of codes. A code is never reused, not even after it is gone.
//!
//! A row is a code, its severity and its title. Its page is `docs/src/errors/CODE.md`, which
//! must be added together with the row (the crate does not compile without it):
//!
//! ````text
//! # E0312: an upstream that is not declared
//!
//! What it means, in two or three sentences.
//!
//! ## Example
//!
//! ```gw,fails
//! a whole program that has exactly this one mistake; a file that it imports stands in a
//! block of its own, after a line `file: NAME`
//! ```
//!
//! ## What to do
//!
//! What an experienced colleague would do, with the corrected text.
//! ````

use super::Severity;

macro_rules! codes {
    ($($code:ident $severity:ident $title:literal)*) => {
        /// A diagnostic code.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($code),* }

        impl Code {
            /// Every code there is, in order.
            pub const ALL: &'static [Code] = &[$(Code::$code),*];

            /// `E0312`.
            pub fn name(self) -> &'static str {
                match self { $(Code::$code => stringify!($code)),* }
            }

            /// Its severity.
            pub fn severity(self) -> Severity {
                match self { $(Code::$code => Severity::$severity),* }
            }

            /// Its title: the mistake in general.
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title),* }
            }

            /// Its page: Markdown.
            pub fn page(self) -> &'static str {
                match self {
                    $(Code::$code => include_str!(concat!("../../docs/src/errors/", stringify!($code), ".md"))),*
                }
            }
        }
    };
}

codes! {
    // E01: syntax (syntax/)
    E0101 Error "a string is not closed"
    E0102 Error "a brace is not closed"
    E0103 Error "a closing brace closes nothing"
    E0104 Error "characters that mean nothing here"
    E0105 Error "nesting deeper than 32"
    E0106 Error "a bracket is not closed"
    E0107 Error "an escape that does not exist"
    E0108 Error "the file is not UTF-8"
    // E02: declarations, statements, imports, inputs (model/)
    E0201 Error "a statement that does not exist"
    E0202 Error "a statement where it may not stand"
    E0203 Error "something behind the end of a statement"
    E0204 Error "something that is missing from a statement"
    E0205 Error "a name that cannot be declared"
    E0206 Error "the same thing twice in one block"
    E0207 Error "a statement that does not begin with a word"
    E0208 Error "a word that a statement does not know"
    E0209 Error "a setting written like an assignment"
    E0210 Error "a place that cannot be written"
    E0211 Error "an invariant that expects nothing"
    E0212 Error "an import that cannot be read"
    E0213 Error "imports in a circle"
    E0214 Error "a file imported into two places"
    E0215 Error "a block that is missing"
    E0231 Error "an input's value is wrong"
    E0232 Error "an input has no value"
    E0233 Error "a value for an input that is not declared"
    // E03: names (check/)
    E0301 Error "a name is declared twice"
    E0302 Error "two listeners have one address"
    E0303 Error "an api on a listener that redirects"
    E0304 Error "a table of another shape"
    E0305 Error "nothing can be reached"
    E0312 Error "an upstream that is not declared"
    E0313 Error "a listener that is not declared"
    E0314 Error "a policy that is not declared"
    E0315 Error "another number of arguments"
    E0316 Error "a policy that uses itself"
    E0317 Error "an auth that is not declared"
    // E04: types and expressions (model/expr, model/types)
    E0401 Error "a word that is no value"
    E0402 Error "an expression that cannot be read"
    E0403 Error "a type that does not exist"
    E0404 Error "a value of another type"
    E0405 Error "a value that may be absent"
    E0406 Error "a text that the union lacks"
    E0407 Error "a match that leaves cases open"
    E0408 Error "a name that nothing has"
    E0409 Error "a field that is not there"
    E0410 Error "a fact before it is known"
    E0411 Error "constants that need one another"
    E0412 Error "a secret that would be seen"
    E0413 Error "a regular expression with a mistake"
    E0414 Error "a brace in a regular expression"
    E0415 Error "a call that does not fit its function"
    E0416 Error "an operator that does not take these types"
    E0417 Error "a constant without a value"
    E0418 Error "a claim that not every alternative has"
    E0419 Error "a value that is not constant"
    E0420 Error "a caller where nobody is authenticated"
    // E05: routes (check/routes)
    E0501 Error "a pattern that does not begin with a slash"
    E0502 Error "an empty segment in a pattern"
    E0503 Error "a dot segment in a pattern"
    E0504 Error "a query in a pattern"
    E0505 Error "a parameter that is not one name in one segment"
    E0506 Error "the rest of a path before the end of a pattern"
    E0507 Error "a parameter twice in one pattern"
    E0508 Error "a type that a parameter cannot have"
    E0509 Error "a parameter's regular expression that cannot be read"
    E0510 Error "a host that is none"
    E0511 Error "a host with a port"
    E0512 Error "a host that is not ASCII"
    E0513 Error "percent-encoding that no path has"
    E0514 Error "a route without a target"
    E0515 Error "several upstreams without shares"
    E0516 Error "a method that is none"
    E0517 Error "a parameter in another notation"
    E0518 Error "a condition in a target without `else`"
    E0520 Error "routes that nothing tells apart"
    E0521 Error "a route that can never be reached"
    E0522 Error "routes that differ only in when, in different blocks"
    E0523 Error "falling through drops protection"
    E0530 Error "a parameter is declared in a prefix already"
    E0531 Error "shares that do not sum to 100%"
    E0532 Error "a value that cannot be part of a path"
    E0533 Error "a redirect to itself"
    // E06: policies and phases (check/)
    E0601 Error "a duration of zero"
    E0602 Error "a number out of range"
    E0603 Error "a status out of place"
    E0604 Error "said twice in one block"
    E0605 Error "one counter with two keys"
    E0606 Error "`auth` under a condition"
    E0608 Error "a header that cannot be written"
    E0609 Error "a value that is not one text"
    E0610 Error "not a media type"
    E0611 Error "a cors block that browsers would not honour"
    E0612 Error "a file that cannot be read"
    E0613 Error "a body where none is sent"
    // E062: TLS on listeners, and the PROXY protocol (check/tls, load/certificates)
    E0620 Error "https without a certificate"
    E0621 Error "a setting of TLS out of place"
    E0622 Error "a certificate that cannot be read"
    E0623 Error "a key that cannot be used"
    E0624 Error "a header that no listener reads"
    E0630 Error "a version of HTTP that the listener cannot speak"
    E0640 Error "a name that cannot be looked up"
    E0641 Error "a health check that cannot be made"
    E0642 Error "a cookie that cannot be sticky"
    E0643 Error "a setting about servers where there are none"
    // E0644: tokens for upstreams (check/oauth)
    E0644 Error "an `oauth` without a setting it needs"
    E0645 Error "a token endpoint that cannot be used"
    E0646 Error "not a scope"
    // E065: how upstreams are spoken to (check/transport)
    E0656 Error "a version of HTTP that a server's scheme cannot carry"
    E0657 Error "a `tls` block without https servers"
    E0658 Error "not the name of a certificate"
    // E06: certificates by ACME (check/acme)
    E0666 Error "the terms of a CA are not agreed to"
    E0667 Error "a name that ACME cannot have a certificate for"
    E0668 Error "a challenge that nothing can answer"
    E0669 Error "a setting that a CA would not accept"
    // E07: upstreams, timeouts, retries (check/)
    E0701 Error "an echo with servers"
    E0702 Error "an upstream without a usable server"
    E0703 Error "not the URL of a server"
    E0704 Error "a timeout that can never be reached"
    // E08: authentication (check/)
    E0801 Error "an auth without a setting it needs"
    E0802 Error "an unknown algorithm"
    E0804 Error "a claim that cannot be"
    E0805 Error "an algorithm that does not fit the key"
    // E09: invariants, and what is not supported yet
    E0901 Error "not supported yet"
    E0902 Error "an invariant that does not hold"
    // W…: warnings, in the same hundreds
    W0101 Warning "a documentation comment beside a statement"
    W0305 Warning "no route at all"
    W0401 Warning "a default for what is always there"
    W0412 Warning "a secret written as plain text"
    W0531 Warning "a key that decides nothing"
    W0601 Warning "a condition that decides nothing"
    W0602 Warning "an answer that is never given"
    W0620 Warning "a certificate that does not count now"
    W0621 Warning "a host without a certificate"
    W0622 Warning "a certificate that is never used"
    W0624 Warning "a header that nobody is believed with"
    W0666 Warning "a challenge that may not arrive"
    W0640 Warning "a choice among one server"
    W0705 Warning "retries that do not fit"
    W0706 Warning "retries without a number"
    W0902 Warning "an invariant about no route"
}

impl Code {
    /// The code of a name such as `E0312`, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.name().eq_ignore_ascii_case(name))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
