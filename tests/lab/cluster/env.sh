# Where everything lives, and the addresses used; the others source it.
HERE=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
HOME_DIR=${CLUSTER_HOME:-$HOME/.cache/selfdeploy-cluster}   # what outlives a machine's restart
STORAGE=${CLUSTER_STORAGE:-etcd}                            # or kine: its etcd over SQLite, which is k3s's
BIN=$HOME_DIR/bin STATE=$HOME_DIR/state ETC=$HOME_DIR/etc LOG=$HOME_DIR/log
[[ $STORAGE == etcd ]] || STATE+=-$STORAGE                  # each has a cluster of its own; one runs at a time
RUN=/run/selfdeploy-cluster                                 # what does not
NS=selfdeploy-cluster NODE=node1                            # the network namespace; the node's name
NODE_IP=10.250.0.1 POD_CIDR=10.251.0.0/24 SERVICE_CIDR=10.252.0.0/16 SERVICE_IP=10.252.0.1
API_PORT=${CLUSTER_API_PORT:-16443}                         # the API server, on this host's loopback
INGRESS_PORT=${CLUSTER_INGRESS_PORT:-18000}                 # Traefik, on this host's loopback
NODE_PORTS=30000-30099                                      # NodePorts, on this host's loopback
REGISTRIES=${CLUSTER_REGISTRIES:-5000 5010-5029}            # ports of this host's loopback that the node pulls from
SOCKET=$RUN/containerd.sock
CTR="ctr -a $SOCKET -n k8s.io"
export PATH=$BIN:/usr/sbin:/usr/lib/cni:$PATH
