#!/usr/bin/env bash
# Traefik 3, file provider with a directory: one file that it cannot read holds up the changes in all other files.
#
# Guess: each file is taken by itself. A mistake in another application's file costs that application its change, Traefik
#   logs it, and a switch in our own, correct file comes through. After a restart ours is there.
# Behaviour: the directory is read as a whole. A file with a syntax error, with a key that Traefik does not know, or with a
#   value of the wrong type has everything stay as it was: our switch is written, and requests go on to the old server,
#   answered with 200. It takes effect when somebody corrects the other file. A Traefik that starts meanwhile has none
#   of the files, and answers 404 for all. A rule with an unknown matcher, or a service that nobody defines, stops nothing.
# Seen with: Traefik 3.6.12 (compiled from its Go module).
# Needs: Traefik 3 on PATH or in $TRAEFIK (the lab of the tests compiles one), python3. Exits 0 as long as it behaves so.
#
# Output:
#   the other file            after our switch     after a restart
#   correct                   new                  new
#   syntax error              old                  404
#   unknown key               old                  404
#   wrong type                old                  404
#   unknown matcher           new                  new
#   no such service           new                  new
set -euo pipefail

traefik=${TRAEFIK:-$(command -v traefik)}
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
mkdir -- "$scratch/files"

python3 - "$traefik" "$scratch" <<'END' | tee "$scratch/output"
import http.server, json, os, pathlib, socket, subprocess, sys, threading, time, urllib.error, urllib.request

traefik, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
ours, other = scratch / "files/ours.yml", scratch / "files/other.yml"

def serve(name):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]

def write(path, text):
    whole = scratch / "whole"
    whole.write_text(text)
    os.replace(whole, path)

def switch(port):
    service = {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}}
    router = {"rule": "PathPrefix(`/`)", "service": "ours"}
    write(ours, json.dumps({"http": {"routers": {"ours": router}, "services": {"ours": service}}}))

def ask():
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{public}/", timeout=5).read().decode()
    except urllib.error.HTTPError as exc:
        return str(exc.code)
    except OSError:
        return "nothing"

def ask_until(wanted):
    ends = time.monotonic() + 3
    while (answer := ask()) != wanted and time.monotonic() < ends:
        time.sleep(0.1)
    return answer

def start():
    child = subprocess.Popen([traefik, "--configFile", str(scratch / "traefik.yml")], stdout=subprocess.DEVNULL)
    ends = time.monotonic() + 20
    while ask() == "nothing":
        assert time.monotonic() < ends and child.poll() is None, "traefik does not answer"
        time.sleep(0.1)
    return child

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    public = free.getsockname()[1]
(scratch / "traefik.yml").write_text(f"""
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: FATAL}}
entryPoints: {{web: {{address: "127.0.0.1:{public}"}}}}
providers: {{providersThrottleDuration: 100ms, file: {{directory: {scratch}/files, watch: true}}}}
""")
router = {"rule": "Host(`other`)", "service": "other"}
services = {"other": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}}
files = {
    "correct": json.dumps({"http": {"routers": {"other": router}, "services": services}}),
    "syntax error": "http: {routers: [",
    "unknown key": json.dumps({"http": {"routers": {"other": router | {"middleware": []}}, "services": services}}),
    "wrong type": json.dumps({"http": {"routers": {"other": router | {"priority": "high"}}, "services": services}}),
    "unknown matcher": json.dumps({"http": {"routers": {"other": router | {"rule": "Hots(`other`)"}}, "services": services}}),
    "no such service": json.dumps({"http": {"routers": {"other": router}}}),
}
old, new = serve("old"), serve("new")
switch(old)
child = start()
print(f"{'the other file':<26}{'after our switch':<21}after a restart")
for what, text in files.items():
    switch(old)
    assert ask_until("old") == "old", "an earlier switch"
    write(other, text)
    time.sleep(0.5)
    switch(new)
    switched = ask_until("new")
    child.terminate()
    child.wait()
    child = start()
    print(f"{what:<26}{switched:<21}{ask_until('new')}", flush=True)
    other.unlink()
    assert ask_until("new") == "new", "with the other file gone"
child.terminate()
child.wait()
END
diff <(sed -n 's/^#   //p' "$0" | grep -A 6 '^the other file') "$scratch/output"
