export default function NotFound() {
  return (
    <>
      <h1>There is no such page</h1>
      <p>
        Nothing is at this address; <a href="/">home</a> is.
      </p>
    </>
  );
}
