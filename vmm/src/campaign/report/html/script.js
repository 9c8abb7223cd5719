"use strict";
// Filters, sorts and shows the rows. At most LIMIT are in the page at a time, so that it stays quick.
const LIMIT = 1000;
const rows = JSON.parse(document.getElementById("data").textContent);
const form = document.getElementById("filter");
const body = document.querySelector("#rows tbody");
const heads = [...document.querySelectorAll("#rows th")];
const COMMAND = 8, CLASS = 2;
let sort = { column: 0, up: true };

function order(left, right) {
  const [a, b] = [left[sort.column], right[sort.column]];
  const result = typeof a === "number" && typeof b === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? ""));
  return (sort.up ? result : -result) || left[0] - right[0];
}

function show() {
  const text = document.getElementById("text").value.toLowerCase();
  const classes = new Set([...form.elements.class].filter(box => box.checked).map(box => box.value));
  const found = rows.filter(row => classes.has(row[CLASS]) &&
    (!text || row.some(cell => String(cell ?? "").toLowerCase().includes(text))));
  found.sort(order);
  body.replaceChildren(...found.slice(0, LIMIT).map(row => {
    const line = document.createElement("tr");
    for (const cell of row.slice(0, COMMAND)) {
      const place = document.createElement("td");
      place.textContent = cell ?? "";
      line.append(place);
    }
    line.title = row[COMMAND];
    if (["corruption", "crash", "hang"].includes(row[CLASS])) line.className = "bad";
    line.addEventListener("click", () => {
      const failure = document.getElementById("failure-" + row[0]);
      if (failure) { failure.open = true; failure.scrollIntoView(); }
    });
    return line;
  }));
  const cut = found.length > LIMIT ? ", the first " + LIMIT + " shown" : "";
  document.getElementById("shown").textContent = found.length + " of " + rows.length + cut;
}

heads.forEach((head, column) => head.addEventListener("click", () => {
  sort = { column, up: sort.column === column ? !sort.up : true };
  show();
}));
form.addEventListener("input", show);
form.addEventListener("submit", event => event.preventDefault());
show();
