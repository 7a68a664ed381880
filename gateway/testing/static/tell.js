const { origin, message } = document.getElementById("told").dataset;
window.opener?.postMessage(JSON.parse(message), origin);
window.close();
