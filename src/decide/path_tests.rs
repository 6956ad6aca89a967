use super::*;

fn shown(raw: &str) -> String {
    match normalise(raw) {
        Ok(n) if n.flags().is_empty() => n.as_str().to_owned(),
        Ok(n) => format!("{} {:?}", n.as_str(), n.flags().first_missing(PathFlags::NONE).unwrap()),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn normal_paths_are_borrowed() {
    for path in [
        "/",
        "/a/b",
        "/a/b/",
        "/a.b/c..d",
        "/.well-known/x",
        "/a%20b",
        "/a:b@c!$&'()*+,=~_-",
        "/%2561",
        "/caf%C3%A9",
        "*",
    ] {
        let normal = normalise(path).unwrap();
        assert!(matches!(normal.path, Cow::Borrowed(p) if p == path), "{path}: {normal:?}");
    }
}

#[test]
fn equivalent_paths_become_one() {
    for (raw, normal) in [
        ("", "/"),
        ("/%61%2D%7e", "/a-~"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/.", "/"),
        ("/a/..", "/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/...", "/..."),
        ("/a..", "/a.."),
        ("/{a}|\"^`<>", "/%7Ba%7D%7C%22%5E%60%3C%3E"),
        ("/%25%32%65", "/%252e"),
        ("/%2561", "/%2561"),
        ("/a%3Fb%23c", "/a%3Fb%23c"),
        ("/a%3ab", "/a%3Ab"),
    ] {
        assert_eq!(shown(raw), normal, "{raw}");
    }
}

#[test]
fn what_readers_understand_differently_is_refused_or_flagged() {
    for (raw, expected) in [
        ("/a\\b", "Backslash"),
        ("/a%5cb", "Backslash"),
        ("\\a", "Backslash"),
        ("/\0", "Control"),
        ("/%00", "Control"),
        ("/a%0d%0ab", "Control"),
        ("/a\tb", "Control"),
        ("/%7f", "Control"),
        ("/%", "PercentEncoding"),
        ("/%4", "PercentEncoding"),
        ("/%zz", "PercentEncoding"),
        ("/%u002e", "PercentEncoding"),
        ("/%%32e", "PercentEncoding"),
        ("/%c0%ae", "NotUtf8"),
        ("/%c0%af", "NotUtf8"),
        ("/%ff", "NotUtf8"),
        ("/%ed%a0%80", "NotUtf8"),
        ("/é", "NotAscii"),
        ("/a b", "Delimiter"),
        ("/a#b", "Delimiter"),
        ("/..", "LeavesRoot"),
        ("/../a", "LeavesRoot"),
        ("/a/../../b", "LeavesRoot"),
        ("/%2e%2e/a", "LeavesRoot"),
        ("a/b", "NotAbsolute"),
        ("..", "NotAbsolute"),
        ("/a%2fb", "/a%2Fb EncodedSlash"),
        ("/a;b", "/a;b Semicolon"),
        ("/a%3bb", "/a%3Bb Semicolon"),
        ("//", "// EmptySegments"),
        ("//a", "//a EmptySegments"),
        ("/a//b", "/a//b EmptySegments"),
        ("/a//", "/a// EmptySegments"),
        ("/..;/a", "HiddenDots"),
        ("/a/..;x=1/b", "HiddenDots"),
        ("/a/.;/b", "HiddenDots"),
        ("/a/..%3b/b", "HiddenDots"),
        ("/a/..%2fb", "HiddenDots"),
        ("/a/%2e%2e%2fb", "HiddenDots"),
        ("/a/x%2f..", "HiddenDots"),
        ("/a/x%2f..;y", "HiddenDots"),
        ("/a//../b", "HiddenDots"),
        ("/a;x/../b", "HiddenDots"),
        ("/a%2fb/../c", "HiddenDots"),
    ] {
        assert_eq!(shown(raw), expected, "{raw}");
    }
}

#[test]
fn normalising_twice_changes_nothing() {
    for raw in ["/%61/../b", "/{", "/%2e/x", "/a%2fb", "/%41%25", "/x/./y/"] {
        let once = normalise(raw).unwrap();
        let twice = normalise(once.as_str()).unwrap();
        assert_eq!(once, twice, "{raw}");
    }
}

#[test]
fn segments_stay_segments() {
    for (value, encoded) in [
        ("a", "a"),
        ("a/b", "a%2Fb"),
        ("a b?c#d%", "a%20b%3Fc%23d%25"),
        ("é", "%C3%A9"),
        ("a;b\\", "a%3Bb%5C"),
        ("", ""),
    ] {
        assert_eq!(encode_segment(value), encoded);
    }
    for bad in [".", "..", "..;x", "../x", "x/..", "a\\..\\b", ".;"] {
        assert!(makes_dot_segment(bad), "{bad}");
    }
    for good in ["a", "...", "a..", "..a", "a/b", ""] {
        assert!(!makes_dot_segment(good), "{good}");
    }
}

#[test]
fn targets_are_taken_apart() {
    let target = |raw| Target::parse(raw).map(|t| (t.authority, t.path, t.query));
    assert_eq!(target("/a?b?c"), Ok((None, "/a", Some("b?c"))));
    assert_eq!(target("http://h:80/a?"), Ok((Some("h:80"), "/a", Some(""))));
    assert_eq!(target("http://h"), Ok((Some("h"), "", None)));
    assert_eq!(target("http://h?q"), Ok((Some("h"), "", Some("q"))));
    assert_eq!(target("http://h\\@evil/a"), Ok((Some("h"), "\\@evil/a", None)));
    assert_eq!(target("*"), Ok((None, "*", None)));
    assert_eq!(target("/a://b"), Ok((None, "/a://b", None)));
    assert_eq!(target("h:80"), Err(PathError::NotAbsolute));
    assert_eq!(target("/a#b"), Err(PathError::Delimiter));
}

/// How other readers of a path see it: what they compare with `/admin`.
mod readers {
    use crate::model::percent::hex;

    fn unquote(path: &str) -> String {
        let (mut out, mut at, bytes) = (Vec::new(), 0, path.as_bytes());
        while at < bytes.len() {
            let digit = |i: usize| bytes.get(at + i).copied().and_then(hex);
            match (bytes[at], digit(1), digit(2)) {
                (b'%', Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    at += 3;
                }
                (b, ..) => {
                    out.push(b);
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn resolve(path: &str, merge: bool) -> String {
        let mut out: Vec<&str> = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "." => {}
                "" if merge => {}
                ".." => drop(out.pop()),
                _ => out.push(segment),
            }
        }
        format!("/{}", out.join("/"))
    }

    /// Decodes everything, merges slashes, removes dot segments.
    pub fn nginx(path: &str) -> String {
        resolve(&unquote(path), true)
    }

    /// Strips parameters, decodes, takes backslashes for slashes, removes dot segments.
    pub fn tomcat(path: &str) -> String {
        let plain: Vec<_> = path.split('/').map(|s| s.split(';').next().unwrap_or("")).collect();
        resolve(&unquote(&plain.join("/")).replace('\\', "/"), true)
    }

    /// The URL standard: backslashes are slashes, tabs and newlines nothing, `%2e` a dot; the fragment is cut off.
    pub fn node(path: &str) -> String {
        let path: String =
            path.split('#').next().unwrap_or("").chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
        let path = path.replace('\\', "/").replace("%2e", ".").replace("%2E", ".");
        unquote(&resolve(&path, false))
    }

    /// `posixpath.normpath(unquote(path))`, cut at NUL as C does.
    pub fn python(path: &str) -> String {
        let path = unquote(path);
        resolve(path.split('\0').next().unwrap_or(""), true)
    }
}

/// Tricks to reach `/admin` where `/admin/{rest...}` is guarded and everything else is open.
fn tricks() -> Vec<String> {
    let mut tricks: Vec<String> = [
        "/admin",
        "/admin/",
        "/admin/x",
        "//admin/x",
        "///admin",
        "/./admin/x",
        "/././admin",
        "/x/../admin/x",
        "/x/./../admin",
        "/x//../admin",
        "/x/y/../../admin/x",
        "/../admin/x",
        "/../../admin",
        "/admin/../admin/x",
        "/admin/x/..",
        "/admin/.",
        "/admin/./x",
        "/admin//x",
        "/%61dmin/x",
        "/%61%64%6d%69%6e/x",
        "/%61%64%6D%69%6E",
        "/adm%69n/",
        "/a%64min/x",
        "/admi%6e",
        "/admi%6E/x",
        "/%2e/admin/x",
        "/%2E/admin",
        "/x/%2e%2e/admin/x",
        "/x/.%2e/admin/x",
        "/x/%2e./admin/x",
        "/x/%2E%2E/admin",
        "/%2e%2e/admin",
        "/admin%2fx",
        "/admin%2Fx",
        "/admin%2f",
        "/%2fadmin/x",
        "/%2Fadmin",
        "/x%2f..%2fadmin",
        "/x/..%2fadmin/x",
        "/x%2f../admin",
        "/x/%2e%2e%2fadmin/x",
        "/..%2fadmin",
        "/.%2fadmin/x",
        "/x/..%2f..%2fadmin",
        "/%2e%2fadmin",
        "/x%2F%2e%2e%2Fadmin",
        "/admin;/x",
        "/admin;a=b/x",
        "/admin;",
        "/;/admin/x",
        "/;a/admin",
        "/x;/../admin/x",
        "/x/..;/admin/x",
        "/x/..;a=b/admin",
        "/..;/admin",
        "/.;/admin/x",
        "/x/.;/..;/admin",
        "/admin/..;/admin/x",
        "/x/%2e%2e;/admin",
        "/x/..%3b/admin/x",
        "/admin%3b/x",
        "/admin%3Ba=b/x",
        "/admin;%2f..",
        "/x;%2f..%2fadmin",
        "/x/;/../admin",
        "/x/..;%2fadmin",
        "/x;y/..;z/admin",
        "\\admin\\x",
        "/\\admin",
        "/admin\\x",
        "/admin\\",
        "\\/admin",
        "/x\\..\\admin",
        "/x/..\\admin/x",
        "/x\\../admin",
        "/.\\admin",
        "/admin%5cx",
        "/%5cadmin",
        "/%5Cadmin/x",
        "/x%5c..%5cadmin",
        "/x/..%5cadmin/x",
        "/x%5C../admin",
        "/%2e%5cadmin",
        "/admin%00/x",
        "/admin%00",
        "/%00admin",
        "/%00/admin",
        "/admin%00.png",
        "/x%00/../admin",
        "/admin\0",
        "/\0admin",
        "/admin%09",
        "/ad\tmin/x",
        "/\tadmin",
        "/ad\nmin",
        "/ad\r\nmin/x",
        "/.\t./admin",
        "/x/.\t./admin",
        "/%0aadmin",
        "/admin%0d%0a",
        "/%0d/admin",
        "/admin#/x",
        "/admin#",
        "/x/../admin#y",
        "#/admin",
        "/#/../admin",
        "/admin%23",
        "/admin%3f",
        "/admin%3F/x",
        "/%u0061dmin",
        "/%c1%a1dmin",
        "/%c0%afadmin",
        "/x/%c0%ae%c0%ae/admin",
        "/x/..%c0%afadmin",
        "/%e0%80%afadmin",
        "/%c0%2fadmin",
        "/%",
        "/%6",
        "/%%61dmin",
        "/%6",
        "/%61dmin%",
        "/admin%/x",
        "/%2",
        "/x/%2e%2/admin",
        "/admin%2",
        "/%0xadmin",
        "/%2561dmin/x",
        "/x/%252e%252e/admin",
        "/%252fadmin",
        "/x/..%252fadmin",
        "/x%252f..%252fadmin",
        "/%25%36%31dmin",
        "/admin%253b",
        "admin",
        "admin/x",
        "./admin",
        "../admin",
        "x/../admin",
        "http:/admin",
        "é/../admin",
        "/é/../admin/x",
        "/x y/../admin",
        "/{/../admin",
        "/|/../admin/x",
        "/x/..\u{2215}admin",
        "/\u{ff0f}admin",
        "/x?/../admin",
    ]
    .map(str::to_owned)
    .to_vec();
    // Tricks upon tricks.
    let (before, after) = (
        ["/.", "/%2e", "/x/..", "/x/%2e%2E", "/", "/;", "/%2f.", "/x/..;"],
        ["/", "/.", "//x", "%2f", ";/x", "/..;/admin", "%5c", "/%2e%2e/admin"],
    );
    tricks.extend(before.iter().flat_map(|b| after.iter().map(move |a| format!("{b}/%61dmin{a}"))));
    tricks
}

#[test]
fn no_trick_reaches_the_unguarded_route() {
    use crate::check::routes::testing::keys;
    use crate::decide::route::{RouteHead, RouteOutcome, route};
    use crate::plan::router::Router;
    let keys = keys(&["ANY /admin/{rest...}", "ANY /{rest...}"]);
    let router = Router::new(keys.iter().zip(0..).map(|(k, i)| (i, k)));
    let tricks = tricks();
    assert!(tricks.len() >= 200);
    let (mut guarded, mut refused) = (0, 0);
    for raw in &tricks {
        let Ok(path) = normalise(raw) else {
            refused += 1;
            continue;
        };
        let method = http::Method::GET;
        let head = RouteHead { method: &method, host: "x", path: &path, query: None };
        match route(&router, &head, |_, _| true, &mut ()) {
            RouteOutcome::Found { route: 0, .. } => guarded += 1,
            RouteOutcome::BadPath(_) => refused += 1,
            RouteOutcome::Found { .. } => {
                for (name, read) in [
                    ("nginx", readers::nginx as fn(&str) -> String),
                    ("tomcat", readers::tomcat),
                    ("node", readers::node),
                    ("python", readers::python),
                ] {
                    // A reader before the gateway sees what came, one behind it what is sent on.
                    for seen in [read(raw), read(path.as_str())] {
                        assert!(
                            seen != "/admin" && !seen.starts_with("/admin/"),
                            "{raw:?} is open here and {seen} for {name}"
                        );
                    }
                }
            }
            other => panic!("{raw}: {other:?}"),
        }
    }
    assert!(guarded > 20 && refused > 100, "{guarded} {refused}");
}
