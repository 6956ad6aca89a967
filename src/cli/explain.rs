//! `gw explain`

use super::terminal::{self, Color, look};
use super::{Exit, program, unable};
use crate::explain::{self, Request, explain};
use crate::load::materials::Materials;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde_json::Value as Json;
use smol_str::SmolStr;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// Show where a request goes, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gw explain shop.gw GET http://api.shop.example/orders
  gw explain shop.gw POST /orders -H 'content-type: application/json' -d '{\"sku\": \"a1\"}'
  gw explain shop.gw GET /users/7 --as 'customer:{\"id\": \"7\", \"tier\": \"free\"}'
  gw explain shop.gw GET /orders --times 101     the 101st at the same moment

Exits with 0 when the request reaches its target, 1 when it is refused, 2 when it cannot be explained.")]
pub struct Args {
    /// The gateway
    file: PathBuf,

    /// The request's method
    method: String,

    /// http[s]://HOST[:PORT]/PATH; or a path alone, for the first listener
    url: String,

    /// A header field
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The body
    #[arg(short = 'd', long = "data", value_name = "BODY")]
    data: Option<String>,

    /// Take the caller for one whom this auth accepted
    #[arg(long = "as", value_name = "AUTH[:JSON CLAIMS]")]
    caller: Option<String>,

    /// The address it comes from
    #[arg(long, value_name = "ADDR", default_value = "192.0.2.1")]
    ip: IpAddr,

    /// The subject of its certificate, such as CN=alice,O=Shop
    #[arg(long, value_name = "SUBJECT")]
    client_certificate: Option<String>,

    /// When it comes, such as 2026-01-31T12:00:00Z; now by default
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,

    /// Explain the last of so many at the same moment: which limit ends it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    times: u32,

    /// Values for the inputs, as TOML
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON object
    Json,
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "a time is like 2026-01-31T12:00:00Z".to_owned())
}

pub fn run(args: Args) -> io::Result<Exit> {
    let request = match request(&args) {
        Ok(request) => request,
        Err(message) => return Ok(unable(message)),
    };
    let plan = match program::plan(&args.file, args.inputs.as_deref(), args.color) {
        Ok(plan) => plan,
        Err(exit) => return Ok(exit),
    };
    let (materials, problems) = Materials::read(&plan, None);
    for problem in problems {
        eprintln!("gw: {}", problem.message);
    }
    match explain(&plan, &materials, &request) {
        Err(message) => Ok(unable(message)),
        Ok(explanation) => {
            terminal::print(match args.format {
                Format::Human => explain::human(&explanation, look(args.color).color),
                Format::Json => serde_json::to_string_pretty(&explanation).unwrap_or_default() + "\n",
            })?;
            Ok(if explanation.outcome.is_good() { Exit::Good } else { Exit::Bad })
        }
    }
}

fn request(args: &Args) -> Result<Request, String> {
    let method = Method::from_bytes(args.method.as_bytes()).map_err(|_| format!("`{}` is no method", args.method))?;
    let mut headers = HeaderMap::new();
    for line in &args.headers {
        let (name, value) =
            line.split_once(':').ok_or_else(|| format!("`{line}` is no header: write 'NAME: VALUE'"))?;
        let parsed = HeaderName::try_from(name.trim()).ok().zip(HeaderValue::from_str(value.trim()).ok());
        let (name, value) = parsed.ok_or_else(|| format!("`{line}` is no header"))?;
        headers.append(name, value);
    }
    let caller = match args.caller.as_deref().map(|c| c.split_once(':').unwrap_or((c, "{}"))) {
        None => None,
        Some((auth, claims)) => {
            let claims: Json =
                serde_json::from_str(claims).map_err(|e| format!("the claims of --as are not JSON: {e}"))?;
            if !claims.is_object() {
                return Err("the claims of --as are an object: AUTH:{\"id\": \"…\"}".into());
            }
            Some((SmolStr::new(auth), claims))
        }
    };
    Ok(Request {
        method,
        url: args.url.clone(),
        headers,
        body: args.data.clone().unwrap_or_default().into(),
        caller,
        ip: args.ip,
        certificate: args.client_certificate.clone(),
        at: args.at.unwrap_or_else(Timestamp::now),
        times: args.times,
    })
}
