//! The clients: WebSockets and polls, plain and under TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::HandshakeKind;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::contenders::Entrance;

/// Both directions of a client's socket.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Socket for S {}

/// Whether a TLS handshake may use what an earlier one left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Handshake {
    Full,
    Resumed,
}

/// How clients connect: what they trust, and the sessions that they keep.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    full: Arc<ClientConfig>,
    resuming: Arc<ClientConfig>,
}

/// An open WebSocket, or a connection for polls.
pub(crate) struct Client {
    stream: Box<dyn Socket>,
}

impl Clients {
    /// Those that trust these certificates.
    ///
    /// They prefer AES-128, as browsers do, and offer X25519 alone: OpenSSL 3.0, which is below nginx and HAProxy in the distribution, has no post-quantum
    /// key exchange, and the cost of one is no difference between proxies.
    pub(crate) fn new(trusted: &[CertificateDer<'static>]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in trusted {
            roots.add(certificate.clone()).expect("a certificate");
        }
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        provider.cipher_suites = vec![
            aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
            aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ];
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut full = config.clone();
        full.resumption = Resumption::disabled();
        let mut resuming = config;
        resuming.resumption = Resumption::in_memory_sessions(256);
        Self {
            full: full.into(),
            resuming: resuming.into(),
        }
    }

    /// The same ones, with sessions of their own: one is used once, and is nothing to another proxy.
    pub(crate) fn with_own_sessions(&self) -> Self {
        let mut resuming = ClientConfig::clone(&self.resuming);
        resuming.resumption = Resumption::in_memory_sessions(256);
        Self {
            full: Arc::clone(&self.full),
            resuming: resuming.into(),
        }
    }

    /// The TLS configuration of those that make every TLS handshake anew.
    pub(crate) fn full(&self) -> &Arc<ClientConfig> {
        &self.full
    }

    async fn stream(
        &self,
        to: SocketAddr,
        entrance: Entrance,
        handshake: Handshake,
    ) -> io::Result<Box<dyn Socket>> {
        let tcp = TcpStream::connect(to).await?;
        tcp.set_nodelay(true)?;
        if entrance == Entrance::Ws {
            return Ok(Box::new(tcp));
        }
        let config = match handshake {
            Handshake::Full => &self.full,
            Handshake::Resumed => &self.resuming,
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let stream: TlsStream<TcpStream> = TlsConnector::from(Arc::clone(config))
            .connect(name, tcp)
            .await?;
        if handshake == Handshake::Resumed
            && stream.get_ref().1.handshake_kind() != Some(HandshakeKind::Resumed)
        {
            return Err(io::Error::other("this TLS session was not resumed"));
        }
        Ok(Box::new(stream))
    }

    /// A connection for polls.
    pub(crate) async fn connect(&self, to: SocketAddr, entrance: Entrance) -> io::Result<Client> {
        let stream = self.stream(to, entrance, Handshake::Full).await?;
        Ok(Client { stream })
    }

    /// An open WebSocket at `path`.
    pub(crate) async fn open(
        &self,
        to: SocketAddr,
        entrance: Entrance,
        path: &str,
    ) -> io::Result<Client> {
        self.open_by(to, entrance, Handshake::Full, path).await
    }

    /// The same, by this kind of TLS handshake or not at all.
    pub(crate) async fn open_by(
        &self,
        to: SocketAddr,
        entrance: Entrance,
        handshake: Handshake,
        path: &str,
    ) -> io::Result<Client> {
        let stream = self.stream(to, entrance, handshake).await?;
        let mut client = Client { stream };
        client.upgrade(path).await?;
        Ok(client)
    }

    /// A first connection that leaves a session for [`Handshake::Resumed`].
    pub(crate) async fn begin_session(&self, to: SocketAddr) -> io::Result<()> {
        let tcp = TcpStream::connect(to).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::clone(&self.resuming))
            .connect(name, tcp)
            .await?;
        let mut client = Client {
            stream: Box::new(stream),
        };
        client.upgrade("/echo").await?;
        client.echo(&[b's'; 32], &mut [0; 32]).await?;
        client.close().await
    }
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// An upgrade request as a browser's, in size and kind.
pub(crate) fn upgrade_request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36\r\n\
         Upgrade: websocket\r\nOrigin: http://localhost\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br\r\n\
         Accept-Language: en-US,en;q=0.9\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    )
}

const POLL: &str = "GET /socket.io/?EIO=4&transport=polling&t=PUv3a2b&sid=lv_VI97HAXpY6yYWAAAC HTTP/1.1\r\n\
    Host: localhost\r\nConnection: keep-alive\r\nAccept: */*\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36\r\n\
    Referer: http://localhost/\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n";

impl Client {
    async fn upgrade(&mut self, path: &str) -> io::Result<()> {
        self.stream
            .write_all(upgrade_request(path).as_bytes())
            .await?;
        let mut head = Vec::with_capacity(512);
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let accepted = format!("Sec-WebSocket-Accept: {}\r\n", crate::upstream::accept(KEY))
            .to_ascii_lowercase();
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        if text.starts_with("http/1.1 101 ") && text.contains(&accepted) {
            Ok(())
        } else {
            Err(io::Error::other(text))
        }
    }

    /// A message there and back, into `back`, which is as long.
    pub(crate) async fn echo(&mut self, message: &[u8], back: &mut [u8]) -> io::Result<()> {
        self.stream.write_all(message).await?;
        self.stream.flush().await?;
        self.stream.read_exact(back).await?;
        Ok(())
    }

    /// Sends without waiting for anything.
    pub(crate) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message).await?;
        self.stream.flush().await
    }

    /// Reads `size` bytes into nothing.
    pub(crate) async fn take(&mut self, mut size: usize, buffer: &mut [u8]) -> io::Result<()> {
        while size > 0 {
            let room = size.min(buffer.len());
            match self.stream.read(&mut buffer[..room]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => size -= read,
            }
        }
        Ok(())
    }

    /// One poll and its answer.
    pub(crate) async fn poll(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.stream.write_all(POLL.as_bytes()).await?;
        self.stream.flush().await?;
        buffer.clear();
        loop {
            if self.stream.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if buffer.ends_with(b"}") {
                return if buffer.starts_with(b"HTTP/1.1 200 ") {
                    Ok(())
                } else {
                    Err(io::Error::other(
                        String::from_utf8_lossy(buffer).into_owned(),
                    ))
                };
            }
        }
    }

    /// Says that nothing more will come, and waits until the other end says so too: the tunnel is over then.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut rest = [0; 64];
        loop {
            match self.stream.read(&mut rest).await {
                Ok(1..) => {}
                Ok(0) => return Ok(()),
                // nginx ends TLS without close_notify.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
