"""Looking at annotated data: pictures of it, pages to browse it, and a doctor that checks it."""
