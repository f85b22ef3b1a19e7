// tailcontrol is a control server of a tailnet and its relay, on ADDRESS. It prints its own URL.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"syscall"

	"tailscale.com/derp/derpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

func listen(address string) net.Listener {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func main() {
	address := os.Args[1]

	relay := httptest.NewUnstartedServer(derpserver.Handler(derpserver.New(key.NewNode(), logger.Discard)))
	relay.Listener.Close()
	relay.Listener = listen(address)
	relay.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // a relay hijacks, so no HTTP/2
	relay.StartTLS()
	node := &tailcfg.DERPNode{
		Name:             "1a",
		RegionID:         1,
		HostName:         address,
		IPv4:             address,
		IPv6:             "none",
		STUNPort:         -1,
		DERPPort:         relay.Listener.Addr().(*net.TCPAddr).Port,
		InsecureForTests: true,
	}
	region := &tailcfg.DERPRegion{RegionID: 1, RegionCode: "lab", Nodes: []*tailcfg.DERPNode{node}}

	server := httptest.NewUnstartedServer(nil)
	server.Listener.Close()
	server.Listener = listen(address)
	control := &testcontrol.Server{
		DERPMap:          &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{1: region}},
		MagicDNSDomain:   "lab.ts.net",
		DNSConfig:        &tailcfg.DNSConfig{Proxied: true},
		AllNodesSameUser: true,
		AllOnline:        true,
		Logf:             logger.Discard,
		HTTPTestServer:   server,
	}
	server.Config.Handler = control
	server.Start()
	fmt.Println(server.URL)

	done, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	<-done.Done()
}
