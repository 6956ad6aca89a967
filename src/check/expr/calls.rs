//! Calls of functions, and `headers("x")`.

use super::fit::{fits, settled_type};
use super::{Checker, Typed, shown};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{Expr, Name};
use crate::model::eval::moment_text;
use crate::model::facts::{Fact, Phase, Reads};
use crate::model::functions::{FUNCTIONS, Function, FunctionRow, Gives, Parameter};
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::source::Span;
use http::HeaderName;

impl Checker<'_> {
    pub(super) fn call(&mut self, name: &Name, arguments: &[Expr], span: Span) -> Typed {
        if name.text == "headers" {
            return self.headers(arguments, span);
        }
        let Some(row) = FunctionRow::find(&name.text) else { return self.no_function(name, arguments) };
        let wanted = row.parameters.len();
        let fits_count = arguments.len() == wanted || row.variadic && arguments.len() > wanted;
        if !fits_count {
            let noun = if wanted == 1 { "argument" } else { "arguments" };
            let message = format!(
                "`{}` takes {wanted} {noun}{}, not {}",
                row.name,
                if row.variadic { " or more" } else { "" },
                arguments.len()
            );
            return self.report(
                Diagnostic::new(Code::E0415, span, message)
                    .help(format!("`{}`; such as `{}`", row.signature, row.example)),
            );
        }
        let mut typed = Vec::with_capacity(arguments.len());
        for (i, argument) in arguments.iter().enumerate() {
            let parameter = row.parameters.get(i).or(row.parameters.last()).map_or(Parameter::Any, |(_, p)| *p);
            typed.push(self.argument(argument, parameter, row));
        }
        if let (Function::Format, [_, pattern]) = (row.function, typed.as_slice())
            && let Some(Value::Str(text)) = &pattern.constant
            && moment_text(&Value::Time(jiff::Timestamp::UNIX_EPOCH), text).is_err()
        {
            return self.report(
                Diagnostic::new(Code::E0415, pattern.span, format!("\"{text}\" is not a pattern for times"))
                    .help("such as \"%Y-%m-%d\" or \"%H:%M:%S\" (strftime)"),
            );
        }
        let secret = typed.iter().any(|t| t.secret);
        let ty = match row.gives {
            Gives::String if secret => Type::Secret,
            Gives::String => Type::String,
            Gives::Int => Type::Int,
            Gives::Strings => Type::List(Box::new(Type::String)),
            Gives::Json => Type::Json,
            Gives::Uuid => Type::Uuid,
            Gives::Time => Type::Time,
        };
        let function = row.function;
        if matches!(function, Function::Uuid | Function::Now) {
            let ir = Ir::Call(function, Box::new([]));
            return Typed {
                ir,
                ty,
                reads: Reads::VOLATILE,
                phase: Phase::Constant,
                constant: None,
                secret: false,
                span,
            };
        }
        self.finish_all(ty, span, typed, |arguments| Ir::Call(function, arguments.into()))
    }

    fn argument(&mut self, e: &Expr, parameter: Parameter, row: &FunctionRow) -> Typed {
        if parameter == Parameter::Text {
            let typed = self.infer(e, None);
            return if typed.ty == Type::Secret { typed } else { self.fit(typed, &Type::String, e) };
        }
        let typed = self.infer(e, None);
        let base = settled_type(&typed.ty);
        let good = match parameter {
            Parameter::Scalar => return self.scalar(typed, e, "a text"),
            Parameter::Scalars => match base {
                Type::List(element) => {
                    !matches!(element.as_ref(), Type::List(_) | Type::Map(_) | Type::Record(_) | Type::Optional(_))
                }
                other => *other == Type::Json,
            },
            Parameter::Sized => {
                matches!(
                    base,
                    Type::String
                        | Type::Union(_)
                        | Type::Url
                        | Type::List(_)
                        | Type::Map(_)
                        | Type::Record(_)
                        | Type::Json
                        | Type::Bytes
                )
            }
            Parameter::Object => matches!(base, Type::Record(_) | Type::Map(_) | Type::Json),
            Parameter::Data => matches!(base, Type::Bytes | Type::Secret) || fits(base, &Type::String),
            Parameter::Moment => matches!(base, Type::Time | Type::Date),
            Parameter::Any | Parameter::Text => return typed,
        };
        match &typed.ty {
            Type::Error => typed,
            Type::Optional(_) if good => {
                self.unsettled(e, &typed.ty.clone(), &format!("the argument of `{}`", row.name))
            }
            _ if good => typed,
            ty => self.report(
                Diagnostic::new(Code::E0404, e.span, format!("`{}` does not take {}", row.name, shown::a(ty)))
                    .label(format!("this is `{ty}`"))
                    .help(format!("`{}`; such as `{}`", row.signature, row.example)),
            ),
        }
    }

    /// `headers("x")`: every field of a name.
    fn headers(&mut self, arguments: &[Expr], span: Span) -> Typed {
        if self.env.phase < Phase::Request {
            return self.too_early("headers", Phase::Request, span);
        }
        let name = match arguments {
            [one] => {
                let typed = self.fitted(one, Some(&Type::String));
                if typed.is_error() {
                    return typed;
                }
                typed.constant.as_ref().and_then(Value::as_str).and_then(|n| HeaderName::from_bytes(n.as_bytes()).ok())
            }
            _ => None,
        };
        let Some(name) = name else {
            return self.report(
                Diagnostic::new(Code::E0415, span, "`headers` takes the name of a header")
                    .help("such as `headers(\"x-tag\")`"),
            );
        };
        let ty = Type::List(Box::new(Type::String));
        Typed {
            ir: Ir::Fact(Fact::Headers(name)),
            ty,
            reads: Reads::HEAD,
            phase: Phase::Request,
            constant: None,
            secret: false,
            span,
        }
    }

    fn no_function(&mut self, name: &Name, arguments: &[Expr]) -> Typed {
        // Mistakes in the arguments are mistakes of their own.
        arguments.iter().for_each(|a| {
            self.infer(a, None);
        });
        let names = || FUNCTIONS.iter().map(|r| r.name);
        let known = match name.text.as_str() {
            "lowercase" | "to_lower" | "toLower" | "lcase" => Some("lower"),
            "uppercase" | "to_upper" | "toUpper" | "ucase" => Some("upper"),
            "str" | "string" | "toString" | "to_string" => Some("text"),
            "length" | "size" | "count" => Some("len"),
            "strip" => Some("trim"),
            "sha256" | "digest" => Some("hash"),
            "strftime" | "date" => Some("format"),
            "concat" => Some("join"),
            "sub" | "gsub" => Some("replace"),
            other => nearest(other, names().chain(["headers"])),
        };
        let help = match (known, name.text.rsplit_once('.')) {
            _ if name.text == "if" => "a choice is written `match CONDITION { true: …, false: … }`".to_owned(),
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some((of, method))) if names().any(|n| n == method) => {
                format!("functions stand before what they take: `{method}({of})`")
            }
            _ => format!("the functions are `{}`", names().collect::<Vec<_>>().join(" ")),
        };
        self.report(Diagnostic::new(Code::E0415, name.span, format!("there is no function `{}`", name.text)).help(help))
    }
}
