export default function Home() {
  return (
    <>
      <h1>SF</h1>
      <p>The server is running. <a href="/admin">Which build is this?</a></p>
    </>
  );
}
