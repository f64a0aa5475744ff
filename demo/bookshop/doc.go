// Package bookshop is the code behind the four demonstration applications:
// bookbuyer and bookthief fetch books from bookstore, and bookstore restocks
// from bookwarehouse.
//
// Input: environment variables (see Config) and HTTP requests on one port.
// Output: a log a person can follow, small web pages, and the same facts as
// JSON at /api/books.
//
// The applications stand in for a user's own services, so this package must
// not import any other package of the repository: whatever works here works
// without knowing that a mesh exists.
package bookshop
