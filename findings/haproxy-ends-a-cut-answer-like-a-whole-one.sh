#!/usr/bin/env bash
# HAProxy 2.6 (Debian bookworm): an answer of no stated length that is cut behind it ends, for the client, like a whole one.
#
# Guess:     a client can tell a cut answer, whatever the protocol: a server that aborts resets its connection, HAProxy
#            passes the reset on, and `shutdown sessions server` resets what it ends.
# Behaviour: HAProxy closes the client's side in the ordinary way (FIN) in both cases. With chunks or a Content-Length the
#            client misses the rest and fails. An answer to HTTP/1.0, which is what some proxies and old clients speak,
#            ends with the connection: the client takes the part for the whole, and reports no error. Without HAProxy
#            it sees the reset. So a switch that cuts off streams after some time is silent for those.
#
# Seen with: HAProxy 2.6.12-1+deb12u4, Python 3.11.
#
# Needs: Debian or Ubuntu with apt-get, python3; a loopback. Takes some seconds; exits 1 if the behaviour changes.
#
# Output:
#   the server aborts, no proxy          HTTP/1.0: ConnectionResetError
#   the server aborts, HAProxy           HTTP/1.0: 2 of 3 parts, no error
#   the server aborts, HAProxy           HTTP/1.1: IncompleteRead
#   shutdown sessions server, HAProxy    HTTP/1.0: 2 of 3 parts, no error
#   shutdown sessions server, HAProxy    HTTP/1.1: IncompleteRead
set -euo pipefail
script=$(readlink -f -- "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 libpcre2-8-0; do
    apt-get download "$package" >/dev/null 2>&1 || true
done
for file in *.deb; do dpkg -x "$file" root; done
export LD_LIBRARY_PATH=$work/root/usr/lib/$(uname -m)-linux-gnu

cat >clients.py <<'END'
"""Read an answer that is cut after two of three parts: by the server's reset, or by HAProxy's runtime API."""
import http.client, pathlib, socket, struct, subprocess, sys, threading, time

haproxy, folder = sys.argv[1], pathlib.Path.cwd()
aborts = threading.Event()
aborts.set()

def serve(listener):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

def answer(connection):
    request = b""
    while b"\r\n\r\n" not in request and (part := connection.recv(4096)):
        request += part
    chunked = b"HTTP/1.1" in request.split(b"\r\n")[0]
    header = b"Transfer-Encoding: chunked" if chunked else b"Connection: close"
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n")
    for _ in range(2):
        connection.sendall(b"5\r\npart\n\r\n" if chunked else b"part\n")
    time.sleep(0.5)
    if aborts.is_set():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
        connection.close()
    else:
        time.sleep(30)

def listen():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return listener.getsockname()[1]

def admin(command):
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.connect(str(folder / "admin.sock"))
        runtime.sendall(command.encode() + b"\n")
        return runtime.recv(4096)

def read(port, version, command=""):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection._http_vsn, connection._http_vsn_str = (10, "HTTP/1.0") if version == "1.0" else (11, "HTTP/1.1")
    connection.request("GET", "/")
    response = connection.getresponse()
    if command:
        time.sleep(0.2)
        admin(command)
    try:
        return f"{response.read().count(b'part')} of 3 parts, no error"
    except (OSError, http.client.HTTPException) as exc:
        return type(exc).__name__

server = listen()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    public = free.getsockname()[1]
(folder / "haproxy.cfg").write_text(f"""
global
    stats socket {folder}/admin.sock mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend public
    bind 127.0.0.1:{public}
    default_backend replica
backend replica
    server one 127.0.0.1:{server}
""")
child = subprocess.Popen([haproxy, "-db", "-q", "-f", folder / "haproxy.cfg"])
ends = time.monotonic() + 20
while not (folder / "admin.sock").exists():
    assert time.monotonic() < ends and child.poll() is None, "haproxy does not start"
    time.sleep(0.1)
time.sleep(0.2)
print(f"{'the server aborts, no proxy':<37}HTTP/1.0: {read(server, '1.0')}")
for version in ("1.0", "1.1"):
    print(f"{'the server aborts, HAProxy':<37}HTTP/{version}: {read(public, version)}")
aborts.clear()
for version in ("1.0", "1.1"):
    seen = read(public, version, "shutdown sessions server replica/one")
    print(f"{'shutdown sessions server, HAProxy':<37}HTTP/{version}: {seen}")
child.terminate()
child.wait()
END
python3 clients.py "$work/root/usr/sbin/haproxy" | tee output
diff <(sed -n '/^# Output:/,/^set /s/^#   //p' "$script") output
