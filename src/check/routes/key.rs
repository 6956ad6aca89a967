//! What of a route decides which requests it gets.

use crate::model::ast::{HostPattern, ParamType, PathAllow, Pattern, Segment, TrailingSlash};
use http::Method;

/// Everything of a route that decides which requests it gets. Its index among its fellows is its id.
#[derive(Clone, Debug)]
pub struct RouteKey {
    /// The hosts it stands in; none: in every host, after the host's own routes.
    pub hosts: Vec<HostPattern>,
    /// Its methods.
    pub methods: Methods,
    /// Its whole pattern, prefixes included.
    pub pattern: Pattern,
    /// It has a `when`.
    pub has_when: bool,
    /// Its place in the source, which decides between several with `when` alone.
    pub order: u32,
    /// `paths allow …` of its api.
    pub allow: PathFlags,
    /// `trailing-slash …` of its api.
    pub trailing_slash: TrailingSlash,
}

impl RouteKey {
    /// The pattern also fits with the other form of its trailing slash. The root and `{rest...}` have no other form.
    pub(crate) fn ignores_slash(&self) -> bool {
        self.trailing_slash == TrailingSlash::Ignore && has_other_slash(&self.pattern)
    }

    /// A path that ends so is not as the pattern is written, and fits by `trailing-slash ignore`.
    pub(crate) fn is_other_form(&self, trailing_slash: bool) -> bool {
        self.ignores_slash() && self.pattern.trailing_slash != trailing_slash
    }
}

/// Whether the pattern can be written with and without a trailing slash.
pub(crate) fn has_other_slash(pattern: &Pattern) -> bool {
    !matches!(pattern.segments.last(), None | Some(Segment::Rest(_)))
}

/// The methods of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    bits: u16,
    custom: Box<[Method]>,
}

const STANDARD: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];
const GET: u16 = 1;
const HEAD: u16 = 1 << 1;
const CUSTOM: u16 = 1 << 14;
const ANY: u16 = 1 << 15;

/// The bit of a method; those of its own making share one.
fn bit(method: &Method) -> u16 {
    match *method {
        Method::GET => GET,
        Method::HEAD => HEAD,
        Method::POST => 1 << 2,
        Method::PUT => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::DELETE => 1 << 5,
        Method::OPTIONS => 1 << 6,
        Method::TRACE => 1 << 7,
        Method::CONNECT => 1 << 8,
        _ => CUSTOM,
    }
}

impl Methods {
    /// `ANY`.
    pub fn any() -> Methods {
        Methods { bits: ANY, custom: Box::default() }
    }

    /// These; none at all is `ANY`, as in [`crate::model::ast::Route::methods`].
    pub fn of(methods: impl IntoIterator<Item = Method>) -> Methods {
        let (mut bits, mut custom) = (0, Vec::new());
        for method in methods {
            bits |= bit(&method);
            if bit(&method) == CUSTOM && !custom.contains(&method) {
                custom.push(method);
            }
        }
        Methods { bits: if bits == 0 { ANY } else { bits }, custom: custom.into() }
    }

    /// It is `ANY`.
    pub fn is_any(&self) -> bool {
        self.bits & ANY != 0
    }

    /// Whether a request with this method is served: `GET` serves `HEAD`.
    pub fn serves(&self, method: &Method) -> bool {
        let bit = bit(method);
        match bit {
            CUSTOM => self.is_any() || self.custom.contains(method),
            HEAD => self.bits & (ANY | HEAD | GET) != 0,
            _ => self.bits & (ANY | bit) != 0,
        }
    }

    /// It says this very method.
    pub fn names(&self, method: &Method) -> bool {
        match bit(method) {
            CUSTOM => self.custom.contains(method),
            bit => self.bits & bit != 0,
        }
    }

    /// The methods by name, standard ones first; nothing for `ANY`.
    pub fn iter(&self) -> impl Iterator<Item = Method> + '_ {
        STANDARD.into_iter().filter(|m| self.bits & bit(m) != 0).chain(self.custom.iter().cloned())
    }

    /// Those of both.
    pub(crate) fn union(&self, other: &Methods) -> Methods {
        let mut custom = self.custom.to_vec();
        custom.extend(other.custom.iter().filter(|m| !self.custom.contains(m)).cloned());
        Methods { bits: self.bits | other.bits, custom: custom.into() }
    }

    /// Named ones go before `ANY`.
    pub(crate) fn rank(&self) -> u8 {
        u8::from(self.is_any())
    }
}

impl std::fmt::Display for Methods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_any() {
            return f.write_str("ANY");
        }
        for (i, method) in self.iter().enumerate() {
            write!(f, "{}{method}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// What readers of a path understand differently, and an api may allow: a small set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathFlags(u8);

impl PathFlags {
    /// Nothing.
    pub const NONE: PathFlags = PathFlags(0);

    /// With `flag` too.
    pub fn with(self, flag: PathAllow) -> PathFlags {
        PathFlags(self.0 | PathFlags::of(flag))
    }

    fn of(flag: PathAllow) -> u8 {
        match flag {
            PathAllow::EncodedSlash => 1,
            PathAllow::EmptySegments => 2,
            PathAllow::Semicolon => 4,
        }
    }

    /// Whether `flag` is in it.
    pub fn contains(self, flag: PathAllow) -> bool {
        self.0 & PathFlags::of(flag) != 0
    }

    /// Nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first of these that `allowed` lacks.
    pub fn first_missing(self, allowed: PathFlags) -> Option<PathAllow> {
        [PathAllow::EncodedSlash, PathAllow::EmptySegments, PathAllow::Semicolon]
            .into_iter()
            .find(|f| self.0 & !allowed.0 & PathFlags::of(*f) != 0)
    }
}

impl FromIterator<PathAllow> for PathFlags {
    fn from_iter<I: IntoIterator<Item = PathAllow>>(iter: I) -> PathFlags {
        iter.into_iter().fold(PathFlags::NONE, PathFlags::with)
    }
}

/// A pattern as it is written, without its host.
pub struct ShowPattern<'a>(pub &'a Pattern);

impl std::fmt::Display for ShowPattern<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for segment in &self.0.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Param { name, ty, prefix, suffix } => match type_name(ty) {
                    Some(ty) => write!(f, "/{prefix}{{{}: {ty}}}{suffix}", name.text)?,
                    None => write!(f, "/{prefix}{{{}}}{suffix}", name.text)?,
                },
                Segment::Rest(name) => write!(f, "/{{{}...}}", name.text)?,
            }
        }
        if self.0.trailing_slash || self.0.segments.is_empty() { f.write_str("/") } else { Ok(()) }
    }
}

/// A parameter's type as it is written; none for plain text.
pub(crate) fn type_name(ty: &ParamType) -> Option<String> {
    Some(match ty {
        ParamType::String => return None,
        ParamType::Int => "int".into(),
        ParamType::Uint => "uint".into(),
        ParamType::Uuid => "uuid".into(),
        ParamType::Date => "date".into(),
        ParamType::Matches(regex) => {
            // Without what makes it match the whole.
            let text = regex.as_str();
            let inner = text.strip_prefix(r"\A(?:").and_then(|t| t.strip_suffix(r")\z")).unwrap_or(text);
            format!("matches r\"{inner}\"")
        }
    })
}
