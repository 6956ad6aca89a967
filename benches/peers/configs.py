"""Configuration generators of the peers. One function per proxy: f(scenario, P) -> {filename: text}.

P (parameters): port (listen), up (upstream port), cert, key, both (pem), jwt_pub, jwks (json text), d (config dir), n (number of routes), w (workers)
The first file returned is the main one ({main} in the command line).
Scenarios: plain, big (= plain config), routes, routes_re, tls, h2, auth, ratelimit, idle (= plain config)
Return None when the proxy cannot do the scenario.
"""


def nginx(scn, P, modern=False):
    if scn == "auth" and not modern:
        return None
    tls = scn in ("tls", "h2")
    lis = f"listen 127.0.0.1:{P['port']}" + (" ssl" if tls else "") + " backlog=8192" + (" reuseport" if P["w"] > 1 else "")
    h2 = ""
    if scn == "h2":
        if modern:
            h2 = "http2 on; http2_max_concurrent_streams 128;"
        else:
            lis += " http2"
    ssl = f"ssl_certificate {P['cert']}; ssl_certificate_key {P['key']}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off;" if tls else ""
    px = "proxy_pass http://be;"
    extra_http, extra_loc, loc = "", "", None
    if scn == "routes":
        loc = "\n".join(f"location /svc{i:04d}/items/ {{ {px} }}" for i in range(P["n"]))
    elif scn == "routes_re":
        loc = "\n".join(f"location ~ ^/svc{i:04d}/items/[^/]+$ {{ {px} }}" for i in range(P["n"]))
    elif scn == "ratelimit":
        extra_http = "limit_req_zone $http_authorization zone=rl:10m rate=100000r/s;"
        extra_loc = "limit_req zone=rl burst=10000 nodelay;"
    elif scn == "auth":
        extra_http = "limit_req_zone $jwt_claim_sub zone=rl:10m rate=100000r/s;"
        extra_loc = f"auth_jwt \"x\"; auth_jwt_key_file {P['d']}/jwks.json jwks; auth_jwt_phase preaccess; limit_req zone=rl burst=10000 nodelay;"
    if loc is None:
        loc = f"location / {{ {px} {extra_loc} }}"
    out = {
        "nginx.conf": f"""
daemon off; worker_processes {P['w']}; pid {P['d']}/nginx.pid; error_log {P['d']}/error.log error;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; multi_accept {'off' if P['w'] > 1 else 'on'}; }}
http {{
  access_log off; server_tokens off; default_type text/plain;
  client_body_temp_path {P['d']}/b; proxy_temp_path {P['d']}/p; fastcgi_temp_path {P['d']}/f; uwsgi_temp_path {P['d']}/u; scgi_temp_path {P['d']}/s;
  keepalive_timeout 600s; keepalive_requests 1000000000; proxy_max_temp_file_size 0;
  variables_hash_max_size 4096;
  upstream be {{ server 127.0.0.1:{P['up']}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
  {extra_http}
  server {{ {lis}; {h2} {ssl}
  {loc}
  }}
}}
"""
    }
    if scn == "auth":
        out["jwks.json"] = P["jwks"]
    # the wheel's nginx was built with fastcgi/uwsgi/scgi, so the same directives work for both
    return out


def nginx131(scn, P):  # PyPI wheel: musl, -Os, static, with a JWT module
    return nginx(scn, P, modern=True)


def nginx_buf(scn, P):  # large proxy buffers (the defaults read upstream bodies 4 kB at a time)
    out = nginx(scn, P)
    if out:
        out["nginx.conf"] = out["nginx.conf"].replace("access_log off;", "access_log off; proxy_buffer_size 32k; proxy_buffers 8 32k; proxy_busy_buffers_size 128k;")
    return out


def gw(scn, P):
    tls = f"; certificate \"{P['cert']}\" key \"{P['key']}\"" if scn in ("tls", "h2") else ""
    head = f"listen {'https' if tls else 'http'} 127.0.0.1:{P['port']} {{ timeout idle 600s{tls} }}\nupstream be {{\n  server http://127.0.0.1:{P['up']}\n  pool idle 600s\n}}\n"
    if scn == "routes":
        return {"gateway.gw": head + "".join(f"route ANY /svc{i:04d}/items/{{rest...}} -> be\n" for i in range(P["n"]))}
    if scn == "routes_re":
        return {"gateway.gw": head + "".join(f"route GET /svc{i:04d}/items/{{id}} -> be\n" for i in range(P["n"]))}
    if scn == "ratelimit":
        return {"gateway.gw": head + 'limit 100_000/s burst 10_000 by header.authorization ?? "none"\nroute ANY /{rest...} -> be\n'}
    if scn == "auth":
        jwt = 'auth client = jwt {\n  issuer "bench"\n  audience any\n  algorithms RS256\n  jwks file "jwks.json"\n}\n'
        return {"gateway.gw": head + jwt + "route ANY /{rest...} -> be {\n  auth client\n  limit 100_000/s burst 10_000 by caller\n}\n", "jwks.json": P["jwks"]}
    return {"gateway.gw": head + "route ANY /{rest...} -> be\n"}


def haproxy(scn, P):
    bind = f"bind 127.0.0.1:{P['port']} backlog 8192"
    if scn == "tls":
        bind += f" ssl crt {P['both']} alpn http/1.1"
    if scn == "h2":
        bind += f" ssl crt {P['both']} alpn h2,http/1.1"
    fe, tbl, out = "default_backend be", "", {}
    if scn == "routes":
        out["map"] = "".join(f"/svc{i:04d}/items/ be\n" for i in range(P["n"]))
        fe = f"use_backend %[path,map_beg({P['d']}/map)]\n  http-request deny deny_status 404 unless {{ path,map_beg({P['d']}/map) -m found }}"
        fe = f"use_backend %[path,map_beg({P['d']}/map,nope)]"
    elif scn == "routes_re":
        out["map"] = "".join(f"^/svc{i:04d}/items/[^/]+$ be\n" for i in range(P["n"]))
        fe = f"use_backend %[path,map_reg({P['d']}/map,nope)]"
    elif scn == "ratelimit":
        tbl = "backend rl\n  stick-table type string len 64 size 100k expire 60s store http_req_rate(1s)\n"
        fe = """http-request track-sc0 req.hdr(authorization) table rl
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10000000 }
  default_backend be"""
    elif scn == "auth":
        tbl = "backend rl\n  stick-table type string len 64 size 100k expire 60s store http_req_rate(1s)\n"
        fe = f"""http-request set-var(txn.b) http_auth_bearer
  http-request set-var(txn.alg) var(txn.b),jwt_header_query('$.alg')
  http-request set-var(txn.sub) var(txn.b),jwt_payload_query('$.sub')
  http-request set-var(txn.exp) var(txn.b),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
  http-request deny deny_status 401 unless {{ var(txn.b),jwt_verify(txn.alg,"{P['jwt_pub']}") 1 }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request track-sc0 var(txn.sub) table rl
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 10000000 }}
  default_backend be"""
    return {
        "haproxy.cfg": f"""
global
  nbthread {P['w']}
  maxconn 9000
  tune.ssl.default-dh-param 2048
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 60s
  timeout http-keep-alive 600s
frontend fe
  {bind}
  {fe}
{tbl}backend be
  server s1 127.0.0.1:{P['up']}
backend nope
  http-request return status 404
""", **out}


def envoy(scn, P):
    import json
    R = {"cluster": "be"}
    if scn == "routes":
        routes = [{"match": {"prefix": f"/svc{i:04d}/items/"}, "route": R} for i in range(P["n"])]
    elif scn == "routes_re":
        routes = [{"match": {"path_match_policy": {"name": "envoy.path.match.uri_template.uri_template_matcher", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", "path_template": f"/svc{i:04d}/items/{{id}}"}}}, "route": R} for i in range(P["n"])]
    else:
        routes = [{"match": {"prefix": "/"}, "route": dict(R)}]
    filters = []
    lrl = {"@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "rl",
           "token_bucket": {"max_tokens": 10000000, "tokens_per_fill": 10000000, "fill_interval": "1s"},
           "filter_enabled": {"default_value": {"numerator": 100}}, "filter_enforced": {"default_value": {"numerator": 100}},
           "descriptors": [{"entries": [{"key": "client"}], "token_bucket": {"max_tokens": 10000000, "tokens_per_fill": 10000000, "fill_interval": "1s"}}]}
    if scn == "auth":
        filters.append({"name": "envoy.filters.http.jwt_authn", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"p": {"issuer": "bench", "local_jwks": {"inline_string": P["jwks"]}, "forward": True,
                                "claim_to_headers": [{"header_name": "x-sub", "claim_name": "sub"}]}},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]}})
        hdr = "x-sub"
    if scn == "ratelimit":
        hdr = "authorization"
    if scn in ("auth", "ratelimit"):
        filters.append({"name": "envoy.filters.http.local_ratelimit", "typed_config": lrl})
        routes[0]["route"]["rate_limits"] = [{"actions": [{"request_headers": {"header_name": hdr, "descriptor_key": "client"}}]}]
    filters.append({"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}})
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in", "codec_type": "AUTO", "use_remote_address": True, "generate_request_id": False,
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]}, "http_filters": filters}}]}
    if scn in ("tls", "h2"):
        chain["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"] if scn == "h2" else ["http/1.1"],
                                   "tls_certificates": [{"certificate_chain": {"filename": P["cert"]}, "private_key": {"filename": P["key"]}}]}}}
    cfg = {"static_resources": {
        "listeners": [{"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": P["port"]}}, "filter_chains": [chain]}],
        "clusters": [{"name": "be", "type": "STATIC", "connect_timeout": "5s",
                      "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}]},
                      "load_assignment": {"cluster_name": "be", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": P["up"]}}}}]}]}}]}}
    return {"envoy.json": json.dumps(cfg, indent=1)}


def traefik(scn, P):
    if scn == "auth":
        return None
    tls = scn in ("tls", "h2")
    static = f"""
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: ERROR}}
entryPoints:
  web:
    address: "127.0.0.1:{P['port']}"
    transport: {{keepAliveMaxRequests: 0}}
{'    http: {tls: {}}' if tls else ''}
providers: {{file: {{filename: "{P['d']}/dyn.yml", watch: false}}}}
"""
    mw = mwdef = ""
    if scn == "ratelimit":
        mw = "\n      middlewares: [rl]"
        mwdef = "  middlewares:\n    rl: {rateLimit: {average: 1000000, burst: 1000000, sourceCriterion: {requestHeaderName: Authorization}}}\n"
    if scn == "routes":
        r = "".join(f"    r{i}:\n      rule: \"PathPrefix(`/svc{i:04d}/items/`)\"\n      service: be\n" for i in range(P["n"]))
    elif scn == "routes_re":
        r = "".join(f"    r{i}:\n      rule: \"PathRegexp(`^/svc{i:04d}/items/[^/]+$`)\"\n      service: be\n" for i in range(P["n"]))
    else:
        r = f"    r0:\n      rule: \"PathPrefix(`/`)\"\n      service: be{mw}\n"
    dyn = f"http:\n  routers:\n{r}{mwdef}  services:\n    be:\n      loadBalancer:\n        serversTransport: st\n        servers: [{{url: \"http://127.0.0.1:{P['up']}\"}}]\n  serversTransports:\n    st: {{maxIdleConnsPerHost: 256}}\n"
    if tls:
        dyn += f"tls:\n  stores: {{default: {{defaultCertificate: {{certFile: {P['cert']}, keyFile: {P['key']}}}}}}}\n"
        if scn == "tls":
            dyn += "  options: {default: {alpnProtocols: [http/1.1]}}\n"
    return {"traefik.yml": static, "dyn.yml": dyn}


def caddy(scn, P):
    if scn in ("auth", "ratelimit"):
        return None
    tls = scn in ("tls", "h2")
    px = f"""reverse_proxy 127.0.0.1:{P['up']} {{
    transport http {{
      keepalive 600s
      keepalive_idle_conns 256
      keepalive_idle_conns_per_host 256
      compression off
    }}
  }}"""
    if scn == "routes":
        body = "(px) {\n " + px + "\n}\n"
        site = "\n".join(f"  handle /svc{i:04d}/items/* {{\n    import px\n  }}" for i in range(P["n"]))
    elif scn == "routes_re":
        body = "(px) {\n " + px + "\n}\n"
        site = "\n".join(f"  @r{i} path_regexp ^/svc{i:04d}/items/[^/]+$\n  handle @r{i} {{\n    import px\n  }}" for i in range(P["n"]))
    else:
        body, site = "", "  " + px
    if scn.startswith("routes"):
        site += "\n  handle {\n    respond 404\n  }"
    addr = f"https://:{P['port']}" if tls else f"http://:{P['port']}"
    t = f"  tls {P['cert']} {P['key']}\n" if tls else ""
    return {"Caddyfile": f"""{{
  admin off
  auto_https off
  persist_config off
  default_sni bench.local
  log {{
    level ERROR
  }}
  servers {{
    protocols h1{' h2' if scn == 'h2' else ''}
  }}
}}
{body}{addr} {{
  bind 127.0.0.1
{t}{site}
}}
"""}
