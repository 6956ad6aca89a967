//! Which value may stand where: types that fit one another, and what to say when they do not.

use super::{Checker, Typed, shown};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{Expr, ExprKind};
use crate::model::ir::Ir;
use crate::model::literal;
use crate::model::types::Type;
use crate::model::value::Value;
use smol_str::SmolStr;

/// The type of a literal.
pub(super) fn type_of(value: &Value<'_>) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Float(_) => Type::Float,
        Value::Str(s) if s.starts_with("http://") || s.starts_with("https://") => Type::Url,
        Value::Str(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        Value::Uuid(_) => Type::Uuid,
        Value::Date(_) => Type::Date,
        Value::Time(_) => Type::Time,
        Value::Duration(_) => Type::Duration,
        Value::Size(_) => Type::Size,
        Value::Rate(_) => Type::Rate,
        Value::Percent(_) => Type::Percent,
        Value::Ip(_) => Type::Ip,
        Value::Cidr(_) => Type::Cidr,
        Value::Address(_) => Type::Address,
        Value::Method(_) => Type::Method,
        Value::Status(_) => Type::Status,
        Value::Json(_) => Type::Json,
        Value::Secret(_) => Type::Secret,
        Value::List(values) => {
            let united = values.iter().map(type_of).reduce(|a, b| united(&a, &b).unwrap_or(Type::Json));
            Type::List(Box::new(united.unwrap_or(Type::Error)))
        }
        Value::Map(fields) => Type::Record(fields.iter().map(|(k, v)| (k.clone(), type_of(v))).collect()),
        Value::Name(kind, _) => Type::Name(*kind),
    }
}

/// Without `?`.
pub(super) fn settled_type(ty: &Type) -> &Type {
    match ty {
        Type::Optional(inner) => inner,
        other => other,
    }
}

/// A value of type `from` may stand where a `want` must.
pub(super) fn fits(from: &Type, want: &Type) -> bool {
    match (from, want) {
        (Type::Error, _) | (_, Type::Error | Type::Json) => true,
        (a, b) if a == b => true,
        (Type::Null, Type::Optional(_)) => true,
        (Type::Optional(a), Type::Optional(b)) => fits(a, b),
        (a, Type::Optional(b)) => fits(a, b),
        (Type::Union(_) | Type::Url, Type::String) | (Type::Ip, Type::Cidr) => true,
        (Type::String | Type::Union(_) | Type::Url, Type::Secret) => true,
        (Type::Union(a), Type::Union(b)) => a.iter().all(|w| b.contains(w)),
        (Type::List(a), Type::List(b)) | (Type::Map(a), Type::Map(b)) => fits(a, b),
        (Type::Record(fields), Type::Map(b)) => fields.iter().all(|(_, t)| fits(t, b)),
        (Type::Record(have), Type::Record(wanted)) => {
            let known = |n: &SmolStr| wanted.iter().any(|(w, _)| w == n);
            let field = |n: &SmolStr| have.iter().find(|(h, _)| h == n).map_or(&Type::Null, |(_, t)| t);
            have.iter().all(|(n, _)| known(n)) && wanted.iter().all(|(n, t)| fits(field(n), t))
        }
        _ => false,
    }
}

/// The type of what is either an `a` or a `b`.
pub(super) fn united(a: &Type, b: &Type) -> Option<Type> {
    Some(match (a, b) {
        (a, b) if fits(a, b) && !matches!(a, Type::Error) => b.clone(),
        (a, b) if fits(b, a) => a.clone(),
        (Type::Null, t) | (t, Type::Null) => t.clone().optional(),
        (Type::Optional(a), b) | (b, Type::Optional(a)) => united(a, settled_type(b))?.optional(),
        (Type::Union(a), Type::Union(b)) => {
            let mut all = a.clone();
            all.extend(b.iter().filter(|w| !a.contains(w)).cloned());
            Type::Union(all)
        }
        (Type::List(a), Type::List(b)) => Type::List(Box::new(united(a, b)?)),
        _ => return None,
    })
}

/// A constant as a value of another type, where its literal can be read as one: statuses, whole numbers as floats, texts
/// of a union, UUIDs, single addresses as networks.
fn converted(value: &Value<'static>, want: &Type) -> Option<Value<'static>> {
    Some(match (value, want) {
        (Value::Null, Type::Optional(_)) => Value::Null,
        (v, Type::Optional(inner)) => return converted(v, inner),
        (Value::Int(v), Type::Status) => Value::Status(u16::try_from(*v).ok().filter(|s| (100..=599).contains(s))?),
        (Value::Int(v), Type::Float) => Value::Float(*v as f64),
        (Value::Ip(ip), Type::Cidr) => Value::Cidr((*ip).into()),
        (Value::Str(text), Type::Union(words)) => words.iter().any(|w| w == text.as_ref()).then(|| value.clone())?,
        (Value::Str(text), Type::Uuid) => Value::Uuid(text.parse().ok()?),
        (Value::Str(text), Type::Secret) => Value::Secret(crate::model::value::Secret::new(text)),
        (Value::List(values), Type::List(element)) => {
            Value::List(values.iter().map(|v| converted(v, element)).collect::<Option<Vec<_>>>()?.into())
        }
        (Value::Map(fields), Type::Map(element)) => Value::Map(
            fields.iter().map(|(k, v)| Some((k.clone(), converted(v, element)?))).collect::<Option<Vec<_>>>()?.into(),
        ),
        (v, want) if fits(&type_of(v), want) => v.clone(),
        _ => return None,
    })
}

impl Checker<'_> {
    /// `typed` as a value of type `want`, or what is wrong.
    pub(super) fn fit(&mut self, typed: Typed, want: &Type, e: &Expr) -> Typed {
        if typed.is_error() || *want == Type::Error {
            return typed;
        }
        self.keep_secret(&typed, want, e);
        if let Some(value) = typed.constant.as_ref().and_then(|v| converted(v, want)) {
            // Keeps the narrower type: `"a"` stays text where `string?` is wanted.
            let narrow = fits(&typed.ty, want)
                && !matches!(settled_type(want), Type::Secret | Type::Cidr | Type::List(_) | Type::Map(_));
            let ty = if narrow { typed.ty.clone() } else { settled_type(want).clone() };
            return Typed { ir: Ir::Const(value.clone()), constant: Some(value), ty, ..typed };
        }
        if fits(&typed.ty, want) {
            return typed;
        }
        self.misfit(&typed, want, e)
    }

    /// Warns of a constant text where a secret is wanted: files are read by more people than should know it.
    pub(super) fn keep_secret(&mut self, typed: &Typed, want: &Type, e: &Expr) {
        let text = matches!(typed.ty, Type::String | Type::Union(_) | Type::Url);
        if *settled_type(want) != Type::Secret || !text || typed.varies() {
            return;
        }
        let label = match e.kind {
            ExprKind::Literal(_) | ExprKind::Text(_) => "whoever reads this file knows it".to_owned(),
            _ => format!("this is `{}`, which is not kept secret", typed.ty),
        };
        self.d.push(
            Diagnostic::new(Code::W0412, e.span, "a secret is written as plain text")
                .label(label)
                .help("give it by the environment: an input of type `secret` without a default"),
        );
    }

    fn misfit(&mut self, typed: &Typed, want: &Type, e: &Expr) -> Typed {
        let base = settled_type(want);
        if let (Type::Union(words), Some(Value::Str(text))) = (base, &typed.constant) {
            return self.not_a_member(text, words, e);
        }
        if let Type::Optional(inner) = &typed.ty
            && fits(inner, want)
            && *base != Type::Bool
        {
            return self.unsettled(e, &typed.ty, &shown::a(want));
        }
        if typed.secret && *base == Type::String {
            super::forbid_secret(typed, "this place", self.d);
            return Typed::error(e.span);
        }
        let message = match (base, &typed.constant) {
            (Type::Bool, _) => "a condition must be a `bool`".to_owned(),
            (Type::Status, Some(Value::Int(v))) => format!("`{v}` is not a status: they are between 100 and 599"),
            _ => format!("{} must stand here", shown::a(want)),
        };
        let help = self.misfit_help(typed, base, e);
        self.report(
            Diagnostic::new(Code::E0404, e.span, message).label(format!("this is `{}`", typed.ty)).maybe_help(help),
        )
    }

    fn misfit_help(&self, typed: &Typed, want: &Type, e: &Expr) -> Option<String> {
        let what = shown::short(e);
        if let Some(Value::Str(text)) = &typed.constant {
            if !matches!(want, Type::String | Type::Json | Type::Url) && literal::of_type(text, want).is_ok() {
                return Some(format!("write it without quotes: `{text}`"));
            }
            if *want == Type::Url {
                return Some("a URL begins with `http://` or `https://` and stands without quotes".into());
            }
        }
        if let Some(Value::Int(n)) = typed.constant {
            match want {
                Type::Duration => return Some(format!("a duration has a unit: `{n}s`, `{n}ms`")),
                Type::Size => return Some(format!("a size has a unit: `{n}KiB`, `{n}MiB`")),
                Type::Rate => return Some(format!("a rate is in a time: `{n}/s`, `{n}/min`")),
                Type::Percent => return Some(format!("a percentage has its sign: `{n}%`")),
                _ => {}
            }
        }
        if let (Type::Address, Some(Value::Ip(ip))) = (want, &typed.constant) {
            return Some(match ip.is_ipv6() {
                true => "an IPv6 address with a port has brackets: `[::1]:8080`".to_owned(),
                false => format!("an address has a port: `{ip}:8080`"),
            });
        }
        if let (Type::Int, Some(Value::Rate(rate))) = (want, &typed.constant) {
            return Some(format!("a number stands here: `{}`", rate.count));
        }
        match (want, settled_type(&typed.ty)) {
            (Type::Bool, _) if matches!(typed.ty, Type::Optional(_)) => {
                Some(format!("ask whether it is there with `{what} != null`, or compare it"))
            }
            (Type::Bool, Type::Json) => Some(format!("compare it: `{what} == true`")),
            (Type::Bool, Type::String | Type::Union(_)) => Some(format!("compare it: `{what} == \"…\"`")),
            (Type::Bool, Type::Int | Type::Float) => Some(format!("compare it: `{what} > 0`")),
            (Type::String, Type::List(_)) => Some(format!("join its elements: `join({what}, \",\")`")),
            (Type::String, Type::Record(_) | Type::Map(_)) => Some(format!("write it as JSON: `json({what})`")),
            (Type::String, Type::Secret | Type::Null) => None,
            (Type::String, _) => Some(format!("as text: `text({what})`")),
            _ => None,
        }
    }

    /// A text that a union lacks.
    pub(super) fn not_a_member(&mut self, text: &str, words: &[SmolStr], e: &Expr) -> Typed {
        let list: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
        let near = nearest(text, words.iter().map(SmolStr::as_str));
        let help = near.map(|w| format!("did you mean \"{w}\"?"));
        self.report(
            Diagnostic::new(Code::E0406, e.span, format!("\"{text}\" is not one of {}", list.join(", ")))
                .label("this never fits")
                .maybe_help(help),
        )
    }

    /// An optional where a value must be.
    pub(super) fn unsettled(&mut self, e: &Expr, ty: &Type, place: &str) -> Typed {
        let what = shown::short(e);
        let inner = settled_type(ty);
        let other = match inner {
            Type::Int | Type::Float | Type::Size => "0",
            Type::Duration => "0s",
            Type::Bool => "false",
            Type::List(_) => "[]",
            Type::String | Type::Url => "\"\"",
            _ => "…",
        };
        let help = match matches!(inner, Type::Record(_)) {
            true => format!("ask first: `{what} != null and …`"),
            false => format!("say what holds then: `{what} ?? {other}`, or ask first: `{what} != null and …`"),
        };
        self.report(
            Diagnostic::new(Code::E0405, e.span, format!("{place} must be there, and this may be absent"))
                .label(format!("this is `{ty}`"))
                .help(help),
        )
    }

    /// What can stand in a text.
    pub(super) fn scalar(&mut self, typed: Typed, e: &Expr, place: &str) -> Typed {
        let what = shown::short(e);
        let help = match &typed.ty {
            Type::Error | Type::Json => return typed,
            Type::Optional(_) => return self.unsettled(e, &typed.ty.clone(), place),
            Type::List(_) => format!("join its elements: `join({what}, \",\")`"),
            Type::Record(_) | Type::Map(_) => format!("write it as JSON: `json({what})`"),
            Type::Bytes => format!("write it in base64: `base64({what})`"),
            Type::Null => "leave it out".to_owned(),
            _ => return typed,
        };
        self.report(
            Diagnostic::new(Code::E0404, e.span, format!("{} has no text to stand in {place}", shown::a(&typed.ty)))
                .label(format!("this is `{}`", typed.ty))
                .help(help),
        )
    }
}
