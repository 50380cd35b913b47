"""The paper once more, on simulated patients: scored from their images, then agreement, prognosis and a comparison."""
