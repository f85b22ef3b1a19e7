export default function Home() {
  return (
    <>
      <h1>The server is running</h1>
      <p>
        Which build it is stands at the foot of each page; the <a href="/admin">admin panel</a> has all of it.
      </p>
    </>
  );
}
