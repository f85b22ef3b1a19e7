#!/usr/bin/env bash
# HAProxy 2.6 (Debian bookworm): does a switch of the backend lose requests on connections that clients keep open?
#
# Guess:     a reload (SIGUSR2 in master-worker mode) is seamless: listeners are handed over and connections that are open
#            stay usable until their next request is answered, so that both ways of switching lose nothing.
# Behaviour: the listeners are handed over, and no new connection is refused. But the old worker closes idle
#            connections of clients at once: a client that sends its next request on one finds it closed, and only one
#            that may repeat the request hides that. `option idle-close-on-response` keeps them until the next answer.
#            A map entry that is changed through the runtime API (`set map`) switches in one step, and loses nothing.
#
# Seen with: HAProxy 2.6.12-1+deb12u4, Python 3.11.
#
# Needs: Debian or Ubuntu with apt-get, python3; a loopback. Takes some seconds; exits 1 if the behaviour changes.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
for package in haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 libpcre2-8-0; do
    apt-get download "$package" >/dev/null 2>&1 || true
done
for file in *.deb; do dpkg -x "$file" root; done
export LD_LIBRARY_PATH=$work/root/usr/lib/$(uname -m)-linux-gnu
haproxy=$work/root/usr/sbin/haproxy
"$haproxy" -v | sed -n 1p

cat >clients.py <<'END'
"""Serve two backends; keep eight connections through HAProxy idle, switch, and use each of them once more."""
import http.client, http.server, pathlib, signal, socket, subprocess, sys, threading, time

haproxy, way, option = sys.argv[1], sys.argv[2], sys.argv[3]


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def backend(name):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer.handle_error = lambda *_: None  # clients that go away
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


public, old, new = port(), backend("old"), backend("new")
folder = pathlib.Path(way + option.replace(" ", "")).absolute()
folder.mkdir()
(folder / "live.map").write_text("live old\n")


def configure(live):
    (folder / "haproxy.cfg").write_text(f"""
global
    stats socket {folder}/admin.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    {option}
frontend public
    bind 127.0.0.1:{public}
    use_backend %[str(live),map({folder}/live.map)] if {{ str({way}) runtime }}
    default_backend {live}
backend old
    server old 127.0.0.1:{old}
backend new
    server new 127.0.0.1:{new}
""")


def ask(connection):
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as exc:
        return type(exc).__name__


configure("old")
child = subprocess.Popen([haproxy, "-W", "-db", "-q", "-f", folder / "haproxy.cfg"], stderr=(folder / "log").open("wb"))
kept, ends = [], time.monotonic() + 20
while not kept or ask(kept[0]) != "old":  # until it listens
    assert time.monotonic() < ends and child.poll() is None, "haproxy does not answer"
    kept = [http.client.HTTPConnection("127.0.0.1", public, timeout=5)]
    time.sleep(0.1)
kept += [http.client.HTTPConnection("127.0.0.1", public, timeout=5) for _ in range(7)]
assert {ask(connection) for connection in kept} == {"old"}
if way == "runtime":
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(folder / "admin.sock"))
        admin.sendall(f"set map {folder}/live.map live new\n".encode())
        admin.recv(4096)
else:
    configure("new")
    child.send_signal(signal.SIGUSR2)
    while ask(http.client.HTTPConnection("127.0.0.1", public, timeout=5)) != "new":
        time.sleep(0.05)
    time.sleep(1)
answers = sorted(ask(connection) for connection in kept)
fresh = ask(http.client.HTTPConnection("127.0.0.1", public, timeout=5))
child.terminate()
child.wait()
print(f"{way:<8}{option or 'no option':<34} kept: {' '.join(answers)}; new connection: {fresh}")
END

reload=$(python3 clients.py "$haproxy" reload "")
careful=$(python3 clients.py "$haproxy" reload "option idle-close-on-response")
runtime=$(python3 clients.py "$haproxy" runtime "")
printf '%s\n' "$reload" "$careful" "$runtime"
# Seen: reload without the option: 8 x RemoteDisconnected; with it: 8 x old, then closed; runtime: 8 x new.
grep -q 'kept: RemoteDisconnected .*; new connection: new' <<<"$reload"
grep -Eq 'kept: (old ){7}old; new connection: new' <<<"$careful"
grep -Eq 'kept: (new ){7}new; new connection: new' <<<"$runtime"
