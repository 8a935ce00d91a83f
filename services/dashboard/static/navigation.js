// The navigation on a phone: Streamlit leaves the menu open, which covers the page that was chosen.

export default function closeMenu({ parentElement }) {
  if (!parentElement.ownerDocument.sentinelMenu) {
    parentElement.ownerDocument.sentinelMenu = true;
    document.addEventListener("click", (event) => {
      if (event.target.closest("[data-testid=stSidebarNavLink]")) setTimeout(collapse);
    });
  }
}

function collapse() {
  document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click();
}
