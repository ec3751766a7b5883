"use strict";

// Columns that sort: a button in each heading.
for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.rows[0].querySelectorAll("th[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const value = (row) => row.cells[head.cellIndex].dataset.value;
      const order = (a, b) => head.dataset.sort === "number"
        ? (Number(a) || 0) - (Number(b) || 0) : a.localeCompare(b);
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (falling ? -1 : 1) * order(value(a), value(b)));
      table.tBodies[0].append(...rows);
    });
  });
}

// What is shown: everything that names an activation, a suite or a severity follows the choice.
const form = document.querySelector("form.filter");
if (form) {
  const boxes = [...form.querySelectorAll("input[name=activation]")];
  const cells = [...document.querySelectorAll("td[data-texts]")];
  const main = document.querySelector("main");
  const steps = 40;

  const show = () => {
    const chosen = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const suite = form.elements.suite.value;
    const place = Number(form.elements.severity.value);
    for (const element of main.querySelectorAll("[data-activation], [data-suite]")) {
      const { activation, suite: own } = element.dataset;
      const hide = (activation !== undefined && !chosen.has(activation))
        || (suite !== "" && own !== undefined && !own.split("\n").includes(suite));
      element.classList.toggle("filtered", hide);
    }
    for (const cell of cells) {
      const texts = cell.dataset.texts.split(" ");
      const text = texts[place];
      cell.querySelector("b").textContent = text;
      const spread = cell.querySelector("small");
      if (spread) spread.textContent = "±" + cell.dataset.spreads.split(" ")[place];
      cell.className = "h" + Math.round(Math.min(Math.max(Number(text) / 100, 0), 1) * steps || 0)
        + (cell.classList.contains("filtered") ? " filtered" : "");
    }
    for (const block of main.querySelectorAll(".panel, .heat tbody")) {
      const rows = [...block.querySelectorAll("figure, tr[data-suite]")];
      block.classList.toggle("filtered", rows.length > 0 && rows.every((row) => row.classList.contains("filtered")));
    }
    for (const text of main.querySelectorAll(".at-severity")) {
      const option = form.elements.severity.selectedOptions[0].textContent;
      text.textContent = place ? ", at severity " + option : ", mean over severities";
    }
    for (const family of main.querySelectorAll(".legend .family")) {
      let entry = family.nextElementSibling;
      let empty = true;
      for (; entry && !entry.matches(".family"); entry = entry.nextElementSibling)
        empty &&= entry.classList.contains("filtered");
      family.classList.toggle("filtered", empty);
    }
    const all = chosen.size === boxes.length && suite === "" && place === 0;
    form.querySelector(".state").textContent = all ? "" :
      "Showing " + chosen.size + " of " + boxes.length + " activations"
      + (suite ? ", suite " + suite : "") + ". Averages and the verdict stay those of the whole run.";
  };

  form.hidden = false;
  form.querySelector("details").open = boxes.length <= 14 && matchMedia("(min-width: 62rem)").matches;
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of form.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      for (const box of boxes) box.checked = "all" in button.dataset;
      show();
    });
  }
}
