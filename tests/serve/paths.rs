//! No path trick passes a guarded route (`tests/conformance/paths.md`).

use super::support::*;
use std::io::Write;
use std::sync::{Arc, Mutex};

const TRICKS: &str = include_str!("../conformance/paths.md");

#[test]
fn no_trick_passes_a_guarded_route() {
    let guarded = Server::text("guarded");
    let got = Arc::new(Mutex::new(Vec::<String>::new()));
    let open = Server::answering({
        let got = got.clone();
        move |request| {
            let target = request.head.split(' ').nth(1).unwrap();
            got.lock().unwrap().push(target.to_owned());
            ok("open")
        }
    });
    let (_, program) = TRICKS.split_once("```gw\n").unwrap();
    let (program, _) = program.split_once("```").unwrap();
    let program = program
        .replace("LISTEN", "LISTEN { protocols h1, h2c }")
        .replace("GUARDED", &guarded.url())
        .replace("OPEN", &open.url());
    let inputs = ("inputs.toml", "key = \"a-key-of-some-length-0123456789\"\n");
    let gateway = Gateway::with_args(&program, &[inputs], &["--inputs", "inputs.toml"]);
    let tricks: Vec<(&str, &str)> = TRICKS
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once("` "))
        .map(|(target, wanted)| (target, wanted.trim()))
        .collect();
    assert!(tricks.len() >= 300);
    let mut wrong = Vec::new();
    for (target, wanted) in &tricks {
        let raw = unescaped(target);
        let mut client = gateway.connect();
        client.stream.write_all(&[b"GET ", &raw[..], b" HTTP/1.1\r\nhost: test\r\n\r\n"].concat()).unwrap();
        let answer = client.answer();
        let is = outcome(answer.status, &answer.body);
        if is != *wanted {
            wrong.push(format!("`{target}` is {is}, not {wanted}"));
        }
        for sent in got.lock().unwrap().drain(..) {
            if let Some((how, reading)) = readers::guarded(&sent) {
                wrong.push(format!("`{target}` is open, and {sent:?} is {reading:?} for who reads: {how}"));
            }
        }
    }
    // What a client of HTTP/2 can say is answered the same.
    let same = super::http2::run(async {
        let mut send = super::http2::connect(&gateway).await;
        let mut same = 0;
        for (target, wanted) in &tricks {
            let Ok(path) = String::from_utf8(unescaped(target)) else { continue };
            let Ok(uri) = format!("http://test{path}").parse::<http::Uri>() else { continue };
            if !path.starts_with('/') || uri.path_and_query().map(|p| p.as_str()) != Some(&path) {
                continue;
            }
            send = send.ready().await.unwrap();
            let (response, _) = send.send_request(super::http2::request(http::Method::GET, &path), true).unwrap();
            let (parts, body, _) = super::http2::whole(response).await;
            let is = outcome(parts.status.as_u16(), &body);
            if is != *wanted {
                wrong.push(format!("`{target}` is {is} over HTTP/2, not {wanted}"));
            }
            same += 1;
        }
        same
    });
    assert!(same > 250, "{same}");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), tricks.len(), wrong.join("\n"));
}

fn outcome(status: u16, body: &[u8]) -> &'static str {
    match (status, body) {
        (200, b"open") => "open",
        (200, _) => "PASSED",
        (400 | 414, _) => "refused",
        (401, _) => "guarded",
        _ => "?",
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut pieces = text.split("\\x");
    let mut out = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        out.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        out.extend(&piece.as_bytes()[2..]);
    }
    out
}

/// How servers read paths: a step each, in the order in which they do them, and any of them may be left out.
mod readers {
    type Step = (&'static str, fn(&str) -> String);

    const STEPS: [Step; 11] = [
        ("decode", decode),
        ("decode again", decode),
        ("cut at ? or #", |p| p.split(['?', '#']).next().unwrap_or("").to_owned()),
        ("cut at NUL", |p| p.split('\0').next().unwrap_or("").to_owned()),
        ("take backslashes for slashes", |p| p.replace('\\', "/")),
        ("strip ;parameters", |p| each(p, |s| s.split(';').next().unwrap_or(""))),
        ("trim dots and spaces", |p| {
            each(p, |s| if matches!(s, "." | "..") { s } else { s.trim().trim_end_matches(['.', ' ']) })
        }),
        ("join slashes", |p| {
            let joined = p.split('/').filter(|s| !s.is_empty()).collect::<Vec<_>>().join("/");
            format!("/{joined}{}", if p.len() > 1 && p.ends_with('/') { "/" } else { "" })
        }),
        ("resolve dots", resolve),
        ("strip the last slash", |p| p.strip_suffix('/').unwrap_or(p).to_owned()),
        ("ignore case", str::to_lowercase),
    ];

    /// A reading of the path, without its query, that is one of a guarded route, and how it comes about.
    pub fn guarded(target: &str) -> Option<(String, String)> {
        let path = target.split('?').next().unwrap_or("");
        (0..1usize << STEPS.len()).find_map(|chosen| {
            let steps = STEPS.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1).map(|(_, step)| step);
            let reading = steps.clone().fold(path.to_owned(), |path, (_, step)| step(&path));
            let how = || steps.clone().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            is_guarded(&reading).then(|| (how(), reading))
        })
    }

    fn is_guarded(path: &str) -> bool {
        // `07` is open because the program says so: what is no `int` falls through to `auth none`.
        let is_int =
            |id: &str| id == "0" || !id.is_empty() && !id.starts_with('0') && id.bytes().all(|b| b.is_ascii_digit());
        let date = |s: &str| s.len() == 10 && s.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        path == "/admin"
            || path.starts_with("/admin/")
            || ["/secret", "/user:7", "/@me", "/buy!"].contains(&path)
            || path.strip_prefix("/item/").is_some_and(is_int)
            || path.strip_prefix("/report-").and_then(|p| p.strip_suffix(".csv")).is_some_and(date)
    }

    fn each(path: &str, change: impl Fn(&str) -> &str) -> String {
        path.split('/').map(change).collect::<Vec<_>>().join("/")
    }

    fn decode(path: &str) -> String {
        let (mut out, bytes, mut at) = (Vec::new(), path.as_bytes(), 0);
        while at < bytes.len() {
            let code = path.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
            match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                Some(byte) => {
                    out.push(byte);
                    at += 3;
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn resolve(path: &str) -> String {
        let mut out: Vec<&str> = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "." => {}
                ".." => drop(out.pop()),
                _ => out.push(segment),
            }
        }
        format!("/{}", out.join("/"))
    }
}

#[test]
fn the_location_of_a_redirect_is_a_url() {
    let gateway = Gateway::serve(
        "listen http LISTEN\n\
         route GET /old/{rest...} -> redirect 301 \"/new/{rest}\"\n\
         route GET /one/{x} -> redirect 301 \"/two/{x}?was={x}&by={query.by ?? \"\"}\"\n\
         route GET /same -> redirect 302 \"https://other.test{request.uri}\"\n\
         route GET /any -> redirect 302 query.to ?? \"/\"\n",
    );
    for (path, location) in [
        ("/old/a/b", "/new/a/b"),
        ("/old", "/new/"),
        ("/old/a%20b/%3Fc%23%25d", "/new/a%20b/%3Fc%23%25d"),
        ("/old/%c3%a9", "/new/%C3%A9"),
        ("/one/a%3Fb?by=c%26d=%C3%A9", "/two/a%3Fb?was=a%3Fb&by=c%26d%3D%C3%A9"),
        ("/same?a=b%20c&d", "https://other.test/same?a=b%20c&d"),
        ("/any?to=https://a.test/%C3%A9%20%25zz%25", "https://a.test/%C3%A9%20%25zz%25"),
        // None that ends the field, and none without the field.
        ("/any?to=/%0D%0Aset-cookie:%20a", "/%0D%0Aset-cookie:%20a"),
    ] {
        let answer = gateway.get(path);
        assert_eq!(answer.header("location"), Some(location), "{path}: {}", answer.head);
    }
}
