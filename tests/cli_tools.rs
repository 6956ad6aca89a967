//! `gw routes`, `export`, `init` and `help` as people and programs call them: the real binary.

use serde_json::Value as Json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const SHOP: &str = include_str!("data/shop.gw");

struct Place {
    folder: tempfile::TempDir,
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("gw writes UTF-8");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Place {
    fn new(text: &str) -> Place {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gateway.gw"), text).unwrap();
        Place { folder }
    }

    fn empty() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "TERM"].iter().for_each(|name| {
            command.env_remove(name);
        });
        command.output().unwrap().into()
    }

    /// Standard output of what must go well.
    fn good(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{arguments:?}");
        ran.out
    }

    fn json(&self, arguments: &[&str]) -> Json {
        serde_json::from_str(&self.good(arguments)).unwrap()
    }
}

fn strings(rows: &Json, field: &str) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn routes_are_listed_in_the_order_they_are_asked() {
    let rows = Place::new(SHOP).json(&["routes", "gateway.gw", "--format", "json"]);
    let places: Vec<_> = strings(&rows, "host").into_iter().zip(strings(&rows, "route")).collect();
    let at = |host: &str| places.iter().filter(|(h, _)| h == host).map(|(_, r)| r.as_str()).collect::<Vec<_>>();
    let shop = ["GET /users/me", "shop.get-user", "shop.beta", "GET /users/{name}", "shop.rest"];
    assert_eq!(at("api.shop.example"), shop);
    assert_eq!(at("*.shop.example"), shop);
    assert_eq!(at(""), ["health", "GET /{name}", "POST, PUT /{name}", "ANY /{name}"]);
    let hosts: Vec<_> = places.iter().map(|(host, _)| host.as_str()).collect();
    assert_eq!(hosts, [["api.shop.example"; 5].as_slice(), &["*.shop.example"; 5], &[""; 4]].concat());
}

#[test]
fn a_route_is_listed_with_everything_that_section_11_names() {
    let rows = Place::new(SHOP).json(&["routes", "gateway.gw", "--format", "json"]);
    let user = rows.as_array().unwrap().iter().find(|row| row["route"] == "shop.get-user").unwrap();
    let line = SHOP.lines().position(|line| line.contains("route get-user")).unwrap() + 1;
    for (field, value) in [
        ("api", "shop".into()),
        ("host", "api.shop.example".into()),
        ("methods", serde_json::json!(["GET"])),
        ("pattern", "/users/{id: int}".into()),
        ("version", Json::Null),
        ("when", Json::Null),
        ("target", "users at /internal/users/{id}".into()),
        ("auth", serde_json::json!(["customer"])),
        ("limits", serde_json::json!(["limit 10/s burst 20 by caller"])),
        ("file", "gateway.gw".into()),
        ("line", line.into()),
        ("doc", "One user, \"as\" the owner \\ sees it.\nA second line.".into()),
    ] {
        assert_eq!(user[field], value, "{field}");
    }
    let beta = rows.as_array().unwrap().iter().find(|row| row["route"] == "shop.beta").unwrap();
    assert_eq!(beta["when"], "header.x-beta == \"1\" and query.a != \"<b>&\\\"c\\\"\"");
    assert_eq!(
        rows.as_array().unwrap().iter().find(|r| r["route"] == "ANY /{name}").unwrap()["methods"],
        serde_json::json!(["ANY"])
    );
}

#[test]
fn people_see_routes_with_documentation_and_policies() {
    let out = Place::new(SHOP).good(&["routes"]);
    let from = out.find("  GET /users/{id: int} -> users at /internal/users/{id}\n").unwrap();
    let line = SHOP.lines().position(|line| line.contains("route get-user")).unwrap() + 1;
    assert!(
        out[from..].starts_with(&format!(
            "  GET /users/{{id: int}} -> users at /internal/users/{{id}}\n      \
             shop.get-user, gateway.gw:{line}, on public\n      \
             One user, \"as\" the owner \\ sees it.\n      \
             A second line.\n      \
             edge          body max 1MiB\n      \
             \x20             require client.ip not in blocked else 403\n      \
             authenticate  auth customer\n      \
             limit         limit 10/s burst 20 by caller\n      \
             request       set header.x-caller = caller.id\n"
        )),
        "{out}"
    );
    assert!(out.contains("record        tag a = \"x\"  (when method == POST)\n"), "{out}");
    assert!(out.starts_with("api.shop.example\n") && out.contains("\nevery host\n"), "{out}");
}

#[test]
fn a_program_with_errors_has_no_routes() {
    for arguments in [["routes", "gateway.gw", "--color", "never"], ["export", "--to", "json", "gateway.gw"]] {
        let ran = Place::new("listen http :8080\nroute GET / -> nowhere\n").run(&arguments);
        assert_eq!((ran.code, &*ran.out), (Some(2), ""));
        assert!(ran.err.contains("error[E0312]"), "{}", ran.err);
    }
    let ran = Place::empty().run(&["routes"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(ran.err.contains("gateway.gw"), "{}", ran.err);
}

#[test]
fn inputs_are_given_by_a_file() {
    let place = Place::new("listen http :8080\ninput to: url\nupstream a { server to }\nroute GET / -> a\n");
    std::fs::write(place.folder.path().join("prod.toml"), "to = \"http://orders.internal:7000\"\n").unwrap();
    let plan = place.json(&["export", "gateway.gw", "--to", "json", "--inputs", "prod.toml"]);
    assert_eq!(plan["upstreams"][0]["servers"][0]["host"], "orders.internal");
}

fn validator() -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/plan-v1.json");
    let schema: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_plan_is_what_its_schema_says() {
    let validator = validator();
    let small = "listen http :8080\nroute ANY /{rest...} -> http://localhost:3000\n";
    let redirects = "listen http :8080 { redirect https }\n";
    for text in [SHOP, small, redirects] {
        let plan = Place::new(text).json(&["export", "--to", "json"]);
        let wrong: Vec<_> = validator.iter_errors(&plan).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    let mut plan = Place::new(SHOP).json(&["export", "--to", "json"]);
    plan["routes"][0]["target"]["kind"] = "elsewhere".into();
    assert!(!validator.is_valid(&plan), "the schema lets everything through");
}

#[test]
fn the_plan_is_complete() {
    let plan = Place::new(SHOP).json(&["export", "--to", "json"]);
    let named =
        |list: &str, name: &str| plan[list].as_array().unwrap().iter().find(|x| x["name"] == name).unwrap().clone();
    let user = named("routes", "shop.get-user");
    assert_eq!(user["params"], serde_json::json!([{ "name": "id", "type": "int" }]));
    let phases = strings(&user["statements"], "phase");
    let order = ["edge", "edge", "authenticate", "limit", "request", "request", "target", "response", "record"];
    assert_eq!(phases, order);
    assert_eq!(user["exchanges"][0]["timeouts"]["total_ms"], 5000);
    assert_eq!(user["exchanges"][0]["timeouts"]["connect_ms"], 5000);
    let beta = named("routes", "shop.beta");
    assert_eq!(
        beta["target"]["to"],
        serde_json::json!([{ "upstream": "orders", "percent": 90.0 }, { "upstream": "users", "percent": 10.0 }])
    );
    let orders = &beta["exchanges"].as_array().unwrap().iter().find(|x| x["upstream"] == "orders").unwrap();
    assert_eq!(
        (&orders["retry"]["count"], &orders["retry"]["on"]),
        (&1.into(), &serde_json::json!(["connect", "503"]))
    );
    assert_eq!(named("routes", "shop.rest")["target"]["else"]["status"], 404);
    assert_eq!(named("tables", "blocked")["entries"], serde_json::json!(["10.0.0.0/8", "192.0.2.0/24"]));
    let counter = user["statements"].as_array().unwrap().iter().find_map(|s| s["limit"].as_str()).unwrap();
    assert_eq!(named("limits", counter)["key"], "caller");
    assert_eq!(named("listeners", "internal")["routes"].as_array().unwrap().len(), 4);
}

#[test]
fn no_secret_leaves_the_gateway() {
    let place = Place::new(SHOP);
    std::fs::write(place.folder.path().join("in.toml"), "token = \"hush-hush-hush-hush-hush-hush-hush\"\n").unwrap();
    for to in ["json", "mermaid", "dot"] {
        let out = place.good(&["export", "--to", to, "--inputs", "in.toml"]);
        assert!(!out.contains("hush"), "{out}");
    }
    let out = place.good(&["routes", "--inputs", "in.toml"]);
    assert!(!out.contains("hush"), "{out}");
}

/// The tokens of a DOT file: words, strings (unescaped) and signs.
fn dot_tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '"' => {
                let mut string = String::from("\"");
                loop {
                    match chars.next().expect("a string is closed") {
                        '"' => break,
                        '\n' => panic!("a string goes over a line: {string}"),
                        '\\' => match chars.next().expect("an escape is whole") {
                            'n' | 'l' => string.push('\n'),
                            c @ ('"' | '\\') => string.push(c),
                            c => panic!("Graphviz would read \\{c} in its own way"),
                        },
                        c => string.push(c),
                    }
                }
                tokens.push(string);
            }
            '-' if chars.peek() == Some(&'>') => {
                chars.next();
                tokens.push("->".into());
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let mut word = c.to_string();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                tokens.push(word);
            }
            '{' | '}' | '[' | ']' | '=' | ',' | ';' => tokens.push(c.to_string()),
            c => panic!("{c:?} means nothing outside of a string"),
        }
    }
    tokens
}

#[test]
fn the_dot_picture_is_well_formed() {
    let out = Place::new(SHOP).good(&["export", "--to", "dot"]);
    let tokens = dot_tokens(&out);
    for (open, close) in [("{", "}"), ("[", "]")] {
        let mut depth = 0;
        for token in &tokens {
            depth += i32::from(token == open) - i32::from(token == close);
            assert!(depth >= 0, "{out}");
        }
        assert_eq!(depth, 0, "{out}");
    }
    assert!(tokens.iter().any(|t| t.contains("query.a != \"<b>&\\\"c\\\"\"")), "{tokens:#?}");
    // Both ends of every arrow are nodes.
    let nodes: Vec<_> = tokens.windows(2).filter(|w| w[1] == "[").map(|w| w[0].as_str()).collect();
    let arrows: Vec<_> = tokens.windows(3).filter(|w| w[1] == "->").collect();
    assert!(arrows.len() > 10);
    for arrow in arrows {
        assert!(nodes.contains(&arrow[0].as_str()) && nodes.contains(&arrow[2].as_str()), "{arrow:?}");
    }
}

#[test]
fn the_mermaid_picture_is_well_formed() {
    let out = Place::new(SHOP).good(&["export", "--to", "mermaid"]);
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("flowchart LR"));
    let (mut nodes, mut ends, mut open) = (Vec::new(), Vec::new(), 0);
    for line in lines.map(str::trim) {
        assert!(line.matches('"').count() % 2 == 0, "{line}");
        // Outside of quotes there are only ids and signs; inside nothing that is read as markup.
        for (i, part) in line.split('"').enumerate() {
            if i % 2 == 1 {
                let rest = part.replace("<br/>", "");
                assert!(!rest.contains(['<', '>', '`', '\\']), "{part}");
                for (at, _) in rest.match_indices('#') {
                    let number: String = rest[at + 1..].chars().take_while(char::is_ascii_digit).collect();
                    assert!(!number.is_empty() && rest[at + 1 + number.len()..].starts_with(';'), "{part}");
                }
            }
        }
        let id = |text: &str| text.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
        if line.starts_with("subgraph ") {
            open += 1;
        } else if line == "end" {
            open -= 1;
        } else if let Some((from, to)) =
            line.split_once("-->").or_else(|| line.split_once("-.->")).filter(|(from, _)| !from.contains('"'))
        {
            ends.push(id(from));
            ends.push(id(to.rsplit('|').next().unwrap().trim()));
        } else {
            nodes.push(id(line));
        }
    }
    assert_eq!(open, 0, "{out}");
    assert!(ends.len() > 20 && ends.iter().all(|end| nodes.contains(end)), "{ends:?} {nodes:?}");
}

#[test]
fn the_starter_is_good_and_never_overwrites() {
    let place = Place::empty();
    let out = place.good(&["init"]);
    for next in ["gw check gateway.gw", "gw explain gateway.gw GET", "gw serve gateway.gw"] {
        assert!(out.contains(next), "{out}");
    }
    assert_eq!(place.good(&["check", "--deny", "warnings"]), "no mistakes in 1 file\n");
    assert_eq!(place.good(&["fmt", "--check"]), "");
    let path = place.folder.path().join("gateway.gw");
    std::fs::write(&path, "# mine\n").unwrap();
    let ran = place.run(&["init"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(ran.err.contains("`gateway.gw` is there already"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "# mine\n");
    assert!(place.good(&["init", "a/b"]).contains("gw check a/b/gateway.gw"));
    assert!(place.folder.path().join("a/b/gateway.gw").exists());
}

#[test]
fn the_starter_goes_where_it_says() {
    let place = Place::empty();
    place.good(&["init"]);
    let explain = |url: &str| place.json(&["explain", "gateway.gw", "GET", url, "--format", "json"])["outcome"].clone();
    assert_eq!(explain("http://localhost:8080/hello/you")["route"], "hello");
    assert_eq!(explain("http://localhost:8080/api/items/7")["upstream"], "backend");
}

/// A server that ends with the test.
struct Serving(std::process::Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_starter_serves_with_nothing_else() {
    let place = Place::empty();
    place.good(&["init"]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = place.folder.path().join("gateway.gw");
    let text = std::fs::read_to_string(&path).unwrap().replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
    command.args(["serve", "gateway.gw"]).current_dir(place.folder.path());
    let _serving = Serving(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(20);
    let get = |target: &str| loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                return answer;
            }
            Err(error) => assert!(Instant::now() < until, "gw serve does not listen: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let hello = get("/hello/you");
    assert!(hello.starts_with("HTTP/1.1 200 ") && hello.contains("hello, you\n"), "{hello}");
    assert!(hello.contains("x-content-type-options: nosniff\r\n"), "{hello}");
    let item = get("/api/items/7");
    assert!(item.starts_with("HTTP/1.1 200 ") && item.contains("/internal/items/7"), "{item}");
    let other = get("/api/items/seven");
    assert!(other.starts_with("HTTP/1.1 200 ") && other.contains("/api/items/seven"), "{other}");
}

#[test]
fn help_knows_words_of_the_language() {
    let place = Place::empty();
    let limit = place.good(&["help", "limit"]);
    assert!(limit.starts_with("limit [report-only] RATE|INT ["), "{limit}");
    for part in [
        "  Phase    4, limit\n",
        "  Example  limit 10/s burst 20 by client.ip\n",
        "  Stands   at top level, in an `api`",
    ] {
        assert!(limit.contains(part), "{limit}");
    }
    let jwt = place.good(&["help", "jwt"]);
    assert!(
        jwt.contains("  Inside:\n") && jwt.contains("  algorithms NAME, …\n      which signatures are accepted\n"),
        "{jwt}"
    );
    for (word, begins) in [
        ("client.ip", "fact client.ip\n"),
        ("header.x-beta", "fact header.NAME\n"),
        ("caller", "facts of caller\n"),
        ("split", "function split(text, separator) -> [string]\n"),
        ("duration", "type duration\n"),
        ("matches", "operator matches\n"),
        ("upstream-timeout", "failure upstream-timeout\n"),
        ("E0101", "# E0101: "),
        ("analytics", "analytics …\n\n  Who uses what, over time; not supported yet.\n"),
    ] {
        let out = place.good(&["help", word]);
        assert!(out.starts_with(begins), "{word}: {out}");
    }
    assert!(place.good(&["help", "has", "any"]).starts_with("operator has any, has all\n"));
}

#[test]
fn help_knows_commands() {
    let place = Place::empty();
    assert!(place.good(&["help"]).contains("\nUsage: gw <COMMAND>\n"));
    assert!(place.good(&["help", "check"]).contains("\nUsage: gw check [OPTIONS]"));
    let keys = place.good(&["help", "keys"]);
    assert!(
        keys.contains("Usage: gw keys <COMMAND>") && keys.contains("\nkeys file \"PATH\"|{ NAME: INPUT, … }\n"),
        "{keys}"
    );
}

#[test]
fn help_proposes_the_nearest_word() {
    let ran = Place::empty().run(&["help", "upstrem"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert_eq!(ran.err, "gw: `upstrem` is no command and no word of the language; there is `upstream`\n");
    assert_eq!(Place::empty().run(&["help", "xyzzy-plugh"]).code, Some(2));
}
