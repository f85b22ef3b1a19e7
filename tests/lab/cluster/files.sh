# What the cluster's processes read: certificates, kubeconfigs, settings.
PKI=$STATE/pki

put() { # FILE: what comes in, unless it is there already: kube-proxy ends when its file is touched
    cat >"$1.new"
    if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

certificate() { # NAME SUBJECT EXTENSIONS: signed by the cluster's authority
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" \
        -extfile <(printf '%s\n' keyUsage=digitalSignature,keyEncipherment "$3")
}

make_certificates() { # once
    [[ ! -f $PKI/done ]] || return 0
    (
        cd -- "$PKI"
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ca.key -out ca.crt -subj /CN=cluster-ca
        openssl genrsa -out sa.key 2048
        openssl rsa -in sa.key -pubout -out sa.pub
        names=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
        names+=,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:$SERVICE_IP
        server=extendedKeyUsage=serverAuth client=extendedKeyUsage=clientAuth
        certificate apiserver /CN=kube-apiserver $server$'\n'"subjectAltName=$names"
        certificate kubelet-server /CN=$NODE $server$'\n'"subjectAltName=DNS:$NODE,IP:127.0.0.1,IP:$NODE_IP"
        certificate apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client $client
        certificate admin /O=system:masters/CN=admin $client
        certificate controller-manager /CN=system:kube-controller-manager $client
        certificate scheduler /CN=system:kube-scheduler $client
        certificate kubelet /O=system:nodes/CN=system:node:$NODE $client
        certificate proxy /CN=system:kube-proxy $client
        touch done
    ) >>"$LOG/certificates.log" 2>&1
}

kubeconfig() { # FILE USER SERVER
    put "$1" <<END
apiVersion: v1
kind: Config
clusters: [{name: selfdeploy, cluster: {server: "$3", certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}}]
users:
  - name: $2
    user:
      client-certificate-data: $(base64 -w0 "$PKI/$2.crt")
      client-key-data: $(base64 -w0 "$PKI/$2.key")
contexts: [{name: selfdeploy, context: {cluster: selfdeploy, user: $2}}]
current-context: selfdeploy
END
    chmod 600 "$1"
}

registry_ports() { # the ports of $REGISTRIES, one a line
    local range
    for range in $REGISTRIES; do seq "${range%-*}" "${range#*-}"; done
}

write_containerd() {
    put "$ETC/containerd.toml" <<END
version = 2
root = "$STATE/containerd"
state = "$RUN/containerd"
oom_score = 0
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "cluster.local/pause:1"
  restrict_oom_score_adj = true   # without CAP_SYS_RESOURCE no score below our own can be set
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$ETC/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$ETC/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
END
    local port
    for port in $(registry_ports); do
        mkdir -p "$ETC/certs.d/127.0.0.1:$port"
        put "$ETC/certs.d/127.0.0.1:$port/hosts.toml" <<END
server = "http://127.0.0.1:$port"
[host."http://127.0.0.1:$port"]
  capabilities = ["pull", "resolve"]
END
    done
    put "$ETC/cni/10-pods.conflist" <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "$RUN/ipam", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
}

write_kubelet() {
    : >"$ETC/resolv.conf"
    put "$ETC/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$SOCKET
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-server.crt
tlsPrivateKeyFile: $PKI/kubelet-server.key
clusterDomain: cluster.local
clusterDNS: [$NODE_IP]
resolvConf: $ETC/resolv.conf
evictionHard: {memory.available: 200Mi, nodefs.available: "1%", nodefs.inodesFree: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
maxPods: 100
serializeImagePulls: false
podLogsDir: $STATE/podlogs
volumePluginDir: $STATE/volplugins
END
    put "$ETC/kube-proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $POD_CIDR
hostnameOverride: $NODE
clientConnection: {kubeconfig: $ETC/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END
}

write_audit() { # who asked a pod through the API server, and what the answer was
    put "$ETC/audit.yaml" <<END
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
    verbs: [get]
    resources: [{group: "", resources: [pods/proxy]}]
  - level: None
END
}

write_files() {
    mkdir -p "$PKI" "$ETC"/{cni,certs.d}
    make_certificates
    local user
    for user in controller-manager scheduler kubelet proxy admin; do
        kubeconfig "$ETC/$user.kubeconfig" "$user" https://127.0.0.1:6443
    done
    kubeconfig "$HOME_DIR/kubeconfig" admin "https://127.0.0.1:$API_PORT"
    write_containerd
    write_kubelet
    write_audit
}
